"""Rebuilding a view from history: filled beside the live one, compared with it, then switched to."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent, decode, place_of, type_of
from crm_shared.domain.errors import Conflict
from crm_shared.kafka.cluster_watch import cluster_id
from crm_shared.kafka.connection import Kafka, Topic
from crm_shared.mongo.documents import DURABLE, Document
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import Generations, in_generation
from crm_shared.projections.parking import Parking
from crm_shared.projections.progress import PartitionProgress, Progress
from crm_shared.projections.projection import advance

INSERT_AT_ONCE = 1_000
COMPARE_AT_ONCE = 500
EXAMPLES = 10

Advanced = Callable[[int, int, int], None]
"""Called with (partitions done, partitions in all, events folded so far)."""


@dataclass
class Comparison:
    """The rebuilt documents beside the live ones.

    `ahead` are live documents that have applied more than the rebuilt ones, which happens while events flow;
    `missing` are rebuilt documents without a live one; `examples` are ids of some that are different or missing.
    """

    documents: int = 0
    equal: int = 0
    ahead: int = 0
    different: int = 0
    missing: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether everything that could be compared was equal."""
        return not self.different and not self.missing

    def note_example(self, document_id: str) -> None:
        """Remember the id of a document that does not agree, if there are few so far."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(document_id)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A generation that was filled, and how it compares with the live one."""

    generation: int
    events: int
    comparison: Comparison


@dataclass
class _Filled:
    """What one partition's history comes to; `failed` are parked customers as far as they can be folded."""

    documents: dict[str, Document] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    events: int = 0


class Rebuild:
    """Fills the next generation of one projection's view.

    One partition at a time is read from its beginning to its present end, folded in memory and inserted. The live
    view is not touched and goes on. After the switch its projector takes up the new generation at the offsets
    noted here, so nothing that happened meanwhile is missed.
    Should a broker not count its latest batch to the end, it is read after the switch like what happened meanwhile; at
    rest that batch is a watermark.
    """

    def __init__(self, projection: DocumentProjection, database: AsyncDatabase[Document], kafka: Kafka) -> None:
        self._projection = projection
        self._database = database
        self._kafka = kafka
        self._generations = Generations(database)
        self._parking = Parking(database, projection.name, kafka)

    async def fill(self, advanced: Advanced = lambda done, total, events: None) -> Rebuilt:
        """Fill the next generation and compare it with the live one.

        Raises `Conflict` (event_not_foldable) when an event of a customer who is not parked cannot be folded.
        """
        live = await self._generations.live(self._projection.name)
        generation = live + 1
        await self._drop_all_but(live)
        self._projection.write_to(generation)
        await self._parking.load()
        progress = Progress(self._database, self._projection.name, self._generations, only=generation)
        admin, consumer = self._kafka.admin(), self._kafka.consumer(group=None)
        await admin.start()
        await consumer.start()
        try:
            await self._kafka.ensure_topics(admin, [Topic(name) for name in self._projection.topics])
            cluster = await cluster_id(admin)
            folded = 0
            for partition in range(self._kafka.partitions):
                noted = PartitionProgress(partition, cluster)
                folded += await self._fill_partition(consumer, noted)
                await progress.save([noted])
                advanced(partition + 1, self._kafka.partitions, folded)
            # Over everything at once they cost half of what they add to each insert.
            await self._projection.create_indexes()
        finally:
            await consumer.stop()
            await admin.close()
        return Rebuilt(generation, folded, await self._compare(live, generation))

    async def switch(self, rebuilt: Rebuilt) -> None:
        """Make the filled generation the live one; the one before is kept until the next rebuild."""
        await self._generations.switch(self._projection.name, rebuilt.generation, self._projection.declared.layout)

    async def _fill_partition(self, consumer: AIOKafkaConsumer, noted: PartitionProgress) -> int:
        partitions = [TopicPartition(topic, noted.partition) for topic in self._projection.topics]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        filled = _Filled()
        # The store inserts rows while the next ones are read and folded.
        inserting: asyncio.Task[None] | None = None
        try:
            while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
                batches = await consumer.getmany(timeout_ms=500, max_records=INSERT_AT_ONCE)
                rows = [
                    row for batch in batches.values() for record in batch if (row := self._take(record, filled, noted))
                ]
                if inserting is not None:
                    await inserting
                inserting = asyncio.create_task(self._insert(self._projection.rows, rows))
                await asyncio.sleep(0)  # so that it begins before the next ones are folded
            if inserting is not None:
                await inserting
        finally:
            if inserting is not None:
                inserting.cancel()
                await asyncio.gather(inserting, return_exceptions=True)
        await self._insert(self._projection.documents.collection, filled.documents.values())
        if (documents := self._projection.documents).lookup is not None:
            entries = (documents.entry(document_id, document) for document_id, document in filled.documents.items())
            await self._insert(documents.entries, entries)
        for partition in partitions:
            noted.offsets[partition.topic] = await consumer.position(partition)
        return filled.events

    def _take(self, record: ConsumerRecord, filled: "_Filled", noted: PartitionProgress) -> Document | None:
        """Fold a record into what the partition is filled with; its row, if it adds one."""
        if type_of(record.headers) not in self._projection.handles:
            if (place := place_of(record.headers)) is not None:
                noted.note(*place)
            return None
        key = record.key.decode()
        if key in filled.failed:
            return None
        try:
            event = decode(record.key, record.value, record.headers)
            row = self._fold(filled.documents, event)
        except Exception as error:  # whatever it is, it is this event's
            if key not in self._parking.keys:
                message = f"an event of customer {key} cannot be folded: {error!r}"
                raise Conflict(message, code="event_not_foldable") from error
            filled.failed.add(key)
            return None
        noted.note(event.service, event.sequence)
        filled.events += 1
        return row

    def _fold(self, documents: dict[str, Document], event: PublicEvent) -> Document | None:
        """Fold one event into the documents; its row, if it has one and was not there before."""
        document_id = self._projection.declared.document_id(event)
        before = documents.get(document_id)
        after = advance(before, event, self._projection.declared.fold)
        if after is None or after is before:
            return None
        row = self._projection.declared.row_of(event)
        documents[document_id] = {**after, "_id": document_id, "revision": 1}
        return row

    async def _insert(self, collection: AsyncCollection[Document] | None, documents: Iterable[Document]) -> None:
        if collection is not None:
            left = iter(documents)
            while some := list(islice(left, INSERT_AT_ONCE)):
                await collection.insert_many(some, ordered=False)

    async def _drop_all_but(self, live: int) -> None:
        """Remove generations that an earlier rebuild left behind."""
        names = set(await self._database.list_collection_names())
        for name in names:
            base, _, generation = name.partition("@")
            if base in self._projection.declared.collections and int(generation or 1) != live:
                await self._database.drop_collection(name)

    async def _compare(self, live: int, generation: int) -> Comparison:
        base = self._projection.declared.collections[0]
        old = self._database[in_generation(base, live)]
        new = self._database.get_collection(in_generation(base, generation), write_concern=DURABLE)
        comparison = Comparison()
        cursor = new.find({}).batch_size(COMPARE_AT_ONCE)
        chunk: list[Document] = []
        async for document in cursor:
            chunk.append(document)
            if len(chunk) == COMPARE_AT_ONCE:
                await self._compare_some(old, chunk, comparison)
                chunk = []
        await self._compare_some(old, chunk, comparison)
        return comparison

    async def _compare_some(
        self, old: AsyncCollection[Document], chunk: list[Document], comparison: Comparison
    ) -> None:
        lives = {
            counterpart["_id"]: counterpart
            async for counterpart in old.find({"_id": {"$in": [document["_id"] for document in chunk]}})
        }
        for document in chunk:
            comparison.documents += 1
            live = lives.get(document["_id"])
            if live is None:
                comparison.missing += 1
                comparison.note_example(document["_id"])
            elif live["positions"] != document["positions"]:
                comparison.ahead += 1
            elif _content(live) == _content(document):
                comparison.equal += 1
            else:
                comparison.different += 1
                comparison.note_example(document["_id"])


def _content(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "revision"}
