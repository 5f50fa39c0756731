"""The evaluation of everybody: a segment that was defined or retired is decided about for each customer."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from crm_shared.application import Command, Writer
from crm_shared.domain import CommandContext, StoreUnavailable
from crm_shared.kafka import Kafka
from crm_shared.mongo import DURABLE, Document, WriteConflict
from segmentation_service.application import Segmentation
from segmentation_service.conditions import parse
from segmentation_service.domain import Segment
from segmentation_service.projections import LOOKUP, Customers, Definition, awaiting

log = logging.getLogger(__name__)

SEGMENTS = "segments"
LEARNT = "learnt"
"""Collection, and the document in it, that says up to which log position definitions are shown."""
POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
CUSTOMERS_AT_ONCE = 200


class Evaluated(Customers):
    """The projection of customers, together with the background work that new definitions ask for.

    Definitions are read from the service's own log. Each instance evaluates the customers of the partitions that
    it owns, in chunks between the batches of events, and notes per segment and partition how far it is.
    """

    def __init__(
        self, database: AsyncDatabase[Document], kafka: Kafka, application: Segmentation, writer: Writer
    ) -> None:
        super().__init__(database, kafka, application, writer)
        self._segments: AsyncCollection[Document] = database.get_collection(SEGMENTS, write_concern=DURABLE)
        self._log_position = 0
        # Segment key -> version that the partition's customers have been evaluated for.
        self._evaluated: dict[int, dict[str, int]] = {}

    async def prepare(self, generation: int) -> None:
        """Create the indexes and learn all definitions before the first event is decided about."""
        await super().prepare(generation)
        await self._segments.create_indexes([IndexModel("retired")])
        await self._learn()

    def take_over(self, partitions: frozenset[int]) -> None:
        """Also forget how far partitions were evaluated: another owner may have gone on."""
        super().take_over(partitions)
        self._evaluated.clear()

    async def work(self) -> None:
        """Follow the definitions and evaluate everybody they ask for, until cancelled."""
        while True:
            try:
                await self._learn()
                busy = False
                for partition in sorted(self.partitions):
                    busy = await self._evaluate(partition) or busy
                if not busy:
                    await asyncio.sleep(POLL_SECONDS)
            except (PyMongoError, StoreUnavailable, OSError) as error:
                log.warning("the evaluation will try again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # the next round starts from what is stored
                log.exception("the evaluation stumbled; it will try again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _learn(self) -> None:
        """Take up definitions that are new in the log."""
        last = await self.read_log(self._application.last_position)
        if last == self._log_position:
            return
        position = self._log_position
        while events := await self.read_log(self._application.segment_events, position):
            async with self.busy:
                for event, position in events:  # noqa: B007  # where to read on
                    await self._take_up(event)
        self._log_position = max(last, position)
        await self._segments.database[LEARNT].update_one(
            {"_id": LEARNT}, {"$max": {"position": self._log_position}}, upsert=True
        )

    async def _take_up(self, event: Segment.Event) -> None:
        # Shown first: nobody should see an evaluation of what is not yet shown.
        match event:
            case Segment.Created() | Segment.Redefined():
                version = 1 if isinstance(event, Segment.Created) else event.definition_version
                await self._show(
                    event.key,
                    segment_id=str(event.originator_id),
                    name=event.name,
                    description=event.description,
                    condition=event.condition,
                    version=version,
                    defined_at=event.occurred_at,
                    retired=False,
                )
                condition = parse(event.condition)
                self.definitions[event.key] = Definition(event.key, event.name, version, condition)
                self.retired.pop(event.key, None)
                self.index.add(event.key, condition)
            case Segment.Retired():
                await self._show(event.key, retired=True)
                definition = self.definitions.pop(event.key)
                self.retired[event.key] = (definition.name, definition.version)
                self.index.remove(event.key)

    async def _show(self, key: str, **fields: Any) -> None:
        await self._segments.update_one({"_id": key}, {"$set": fields}, upsert=True)

    async def _evaluate(self, partition: int) -> bool:
        """Evaluate one partition's customers for all definitions it has not seen; whether there was anything."""
        evaluated = await self._evaluated_of(partition)
        wanted = {key: one.version for key, one in self.definitions.items()}
        wanted |= {key: -version for key, (_, version) in self.retired.items()}
        pending = {key: version for key, version in wanted.items() if evaluated.get(key) != version}
        if not pending:
            return False
        lookup = self._database[LOOKUP]
        total = await lookup.count_documents({"partition": partition})
        done, last = 0, ""
        await self._note(partition, pending, done, total)
        while True:
            chunk = [
                one["_id"]
                async for one in lookup.find({"partition": partition, "_id": {"$gt": last}}, {"_id": 1})
                .sort("_id", 1)
                .limit(CUSTOMERS_AT_ONCE)
            ]
            if not chunk or partition not in self.partitions:
                break
            async with self.busy:
                try:
                    await self._evaluate_chunk(chunk, pending)
                except WriteConflict:
                    # Another instance owns the partition by now and reads what was decided here from the store.
                    self.documents.forget_all()
            done, last = done + len(chunk), chunk[-1]
            await self._note(partition, pending, done, max(total, done))
            # Let the events that arrived meanwhile go first.
            await asyncio.sleep(0)
        if partition in self.partitions:
            await self._note(partition, pending, done, done)
            evaluated |= pending
        return True

    async def _evaluated_of(self, partition: int) -> dict[str, int]:
        if partition not in self._evaluated:
            field = f"evaluated.{partition}"
            self._evaluated[partition] = {
                one["_id"]: noted["version"]
                async for one in self._segments.find({field: {"$exists": True}}, {field: 1})
                if (noted := one["evaluated"][str(partition)])["complete"]
            }
        return self._evaluated[partition]

    async def _evaluate_chunk(self, customer_ids: list[str], pending: Mapping[str, int]) -> None:
        documents = await self.load(customer_ids)
        commands: list[Command[Any]] = []
        for customer_id, document in documents.items():
            if document is None or awaiting(document):
                continue
            defined = [key for key, version in pending.items() if version > 0 and key in self.definitions]
            changes = self.differing(document, defined, "segment_defined")
            changes += self.leaving(document, [key for key, version in pending.items() if version < 0])
            if changes:
                context = CommandContext(actor="segmentation", occurred_at=datetime.now(UTC))
                commands.append(self.command(customer_id, document["positions"], changes, context))
        decided = await self.decide(commands)
        await self.documents.write({one: {**(documents[one] or {}), **said} for one, said in decided.items()})

    async def _note(self, partition: int, pending: Mapping[str, int], done: int, total: int) -> None:
        for key, version in pending.items():
            noted = {"version": version, "done": done, "total": total, "complete": done == total}
            await self._segments.update_one({"_id": key}, {"$set": {f"evaluated.{partition}": noted}})
