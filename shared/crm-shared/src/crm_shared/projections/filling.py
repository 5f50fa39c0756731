"""Filling a generation of a view with the history of one partition after the other."""

import asyncio
import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import bson
from aiokafka import ConsumerRecord, TopicPartition
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent, decode, place_of, type_of
from crm_shared.domain.errors import Conflict
from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import Document
from crm_shared.projections.comparison import COMPARE_AT_ONCE, Comparison, compare_some
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import in_generation
from crm_shared.projections.progress import PartitionProgress
from crm_shared.projections.projection import advance

INSERT_AT_ONCE = 1_000
# Folding a page must not keep others from the event loop for long.
FOLD_AT_ONCE = 250
COLLECTING = (50_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is filled: a generation beside the live one, from one Kafka cluster; `parked` customers' keys may fail."""

    generation: int
    live: int
    cluster: str
    parked: frozenset[str]


@dataclass(frozen=True, slots=True)
class FilledPartition:
    """What came of one partition: its progress, how many events were folded, and how its documents compare.

    `absent` are ids of documents that have no live one so far; `comparison` does not count them.
    """

    noted: PartitionProgress
    events: int
    comparison: Comparison
    absent: Sequence[str]


@dataclass
class _Folded:
    """What one partition's history comes to; `failed` are parked customers as far as they can be folded."""

    documents: dict[str, Document] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    events: int = 0


class Filler:
    """Reads one partition at a time from its beginning to its present end, folds it in memory, inserts and compares.

    An async context manager: it holds a connection to the broker, and has the interpreter look for cycles rarely. A
    history makes millions of objects that stay until they are stored, and hardly a cycle among them.
    """

    def __init__(
        self,
        projection: DocumentProjection,
        database: AsyncDatabase[Document],
        kafka: Kafka,
        assignment: Assignment,
    ) -> None:
        self._projection = projection
        self._database = database
        self._assignment = assignment
        self._consumer = kafka.consumer(group=None)
        self._collecting = gc.get_threshold()
        projection.write_to(assignment.generation)

    async def __aenter__(self) -> "Filler":
        await self._consumer.start()
        gc.set_threshold(*COLLECTING)
        return self

    async def __aexit__(self, *_: object) -> None:
        gc.set_threshold(*self._collecting)
        await self._consumer.stop()

    async def fill(self, partition: int) -> FilledPartition:
        """Fill the generation with what is in one partition of the topics.

        Raises `Conflict` (event_not_foldable) when an event of a customer who is not parked cannot be folded.
        """
        noted = PartitionProgress(partition, self._assignment.cluster)
        folded = await self._fold_history(noted)
        comparison, absent = Comparison(), list[str]()
        live = self._database[in_generation(self._projection.declared.collection, self._assignment.live)]
        documents = iter(folded.documents.values())
        while some := list(islice(documents, INSERT_AT_ONCE)):
            encoded = [bson.encode(document) for document in some]
            await self._insert(self._projection.documents.collection, map(RawBSONDocument, encoded))
            for start in range(0, len(encoded), COMPARE_AT_ONCE):
                stored = [bson.decode(one, live.codec_options) for one in encoded[start : start + COMPARE_AT_ONCE]]
                absent += await compare_some(live, stored, comparison)
        await self._insert_entries(folded.documents)
        return FilledPartition(noted, folded.events, comparison, absent)

    async def _fold_history(self, noted: PartitionProgress) -> _Folded:
        """Fold everything up to the present end, inserting rows meanwhile, and note how far that is."""
        consumer = self._consumer
        partitions = [TopicPartition(topic, noted.partition) for topic in self._projection.topics]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        folded = _Folded()
        # The store inserts rows while the next ones are read and folded.
        inserting: asyncio.Task[None] | None = None
        try:
            while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
                batches = await consumer.getmany(timeout_ms=500, max_records=INSERT_AT_ONCE)
                rows: list[Document] = []
                for records in batches.values():
                    for start in range(0, len(records), FOLD_AT_ONCE):
                        rows += self._fold(records[start : start + FOLD_AT_ONCE], folded, noted)
                        await asyncio.sleep(0)
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
        for partition in partitions:
            noted.offsets[partition.topic] = await consumer.position(partition)
        return folded

    def _fold(self, records: Sequence[ConsumerRecord], folded: _Folded, noted: PartitionProgress) -> list[Document]:
        """Fold records into what the partition comes to; the rows that they add."""
        rows: list[Document] = []
        places: dict[str, list[int]] = {}
        complete: dict[str, int] = {}
        handles = self._projection.handles
        for record in records:
            if type_of(record.headers) not in handles:
                if (place := place_of(record.headers)) is not None:
                    if record.key is None:  # a watermark, as for `Membership`
                        complete[place[0]] = place[1]
                    else:
                        places.setdefault(place[0], []).append(place[1])
                continue
            if folded.failed and record.key.decode() in folded.failed:
                continue
            try:
                event = decode(record.key, record.value, record.headers)
                row = self._fold_event(folded.documents, event)
            except Exception as error:  # whatever it is, it is this event's
                key = (record.key or b"").decode(errors="replace")
                if key not in self._assignment.parked:
                    message = f"an event of customer {key} cannot be folded: {error!r}"
                    raise Conflict(message, code="event_not_foldable") from error
                folded.failed.add(key)
                continue
            places.setdefault(event.service, []).append(event.sequence)
            folded.events += 1
            if row is not None:
                rows.append(row)
        for service, positions in places.items():
            noted.note(service, *positions)
        for service, position in complete.items():
            noted.note_all_up_to(service, position)
        return rows

    def _fold_event(self, documents: dict[str, Document], event: PublicEvent) -> Document | None:
        """Fold one event into the documents; its row, if it has one and was not there before."""
        declared = self._projection.declared
        document_id = declared.document_id(event)
        before = documents.get(document_id)
        after = advance(before, event, declared.fold)
        if after is None or after is before:
            return None
        row = declared.row_of(event)
        documents[document_id] = {**after, "_id": document_id, "revision": 1}
        return row

    async def _insert_entries(self, folded: dict[str, Document]) -> None:
        documents = self._projection.documents
        if documents.lookup is not None:
            entries = (documents.entry(document_id, document) for document_id, document in folded.items())
            await self._insert(documents.entries, entries)

    async def _insert(self, collection: AsyncCollection[Any] | None, documents: Iterable[Any]) -> None:
        if collection is not None:
            left = iter(documents)
            while some := list(islice(left, INSERT_AT_ONCE)):
                await collection.insert_many(some, ordered=False)
