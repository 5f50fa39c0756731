"""Keeping a view: events folded into its documents in batches, each event once, and rows added beside them."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import bson
from bson.errors import BSONError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo.documents import DURABLE, Document, Documents, PartitionOf, WriteConflict
from crm_shared.observability import crash_points
from crm_shared.projections.generations import in_generation
from crm_shared.projections.projection import Failure, Projection, advance

# What a smaller batch would gain by groups, it would lose by their seals.
GROUPED_FROM = 100
GROUPS = 4
_DUPLICATE_KEY = 11000
_LARGEST_DOCUMENT = 16 * 1024 * 1024
_TOO_LARGE = 10334


@dataclass(frozen=True, slots=True)
class Step:
    """An event that was folded: the id of its document, the document before and after, its row, and what is planned."""

    event: PublicEvent
    document_id: str
    before: Document | None
    after: Document
    row: Document | None
    planned: Sequence[Any]


class DocumentProjection:
    """Keeps the documents of one `Projection` in a database: each event folded once, whatever is redelivered.

    Rows carry the event's id as `_id` and are written before the document, so that a crash in between repeats the row
    and does not lose it.
    """

    def __init__(
        self, database: AsyncDatabase[Document], declared: Projection, *, partition_of: PartitionOf | None = None
    ) -> None:
        self.declared = declared
        self.name = declared.name
        self.topics = declared.topics
        self.handles = declared.handles
        self._database = database
        self._partition_of = partition_of
        # One group is written at a time: side by side, the embedded store takes half as long again over them.
        self._writing = asyncio.Lock()
        self.write_to(1)

    def write_to(self, generation: int) -> None:
        """Write to a generation of the view from now on."""
        self.generation = generation
        lookup = self.declared.lookup
        if lookup is not None:
            lookup = replace(lookup, collection=in_generation(lookup.collection, generation))
        name = in_generation(self.declared.collection, generation)
        self.documents = Documents(
            self._database, name, limit=self.declared.kept, lookup=lookup, partition_of=self._partition_of
        )
        self.rows = None
        if (rows := self.declared.rows) is not None:
            self.rows = self._database.get_collection(in_generation(rows.collection, generation), write_concern=DURABLE)

    async def prepare(self, generation: int) -> None:
        """Create the indexes."""
        self.write_to(generation)
        await self.create_indexes()

    async def create_indexes(self) -> None:
        """Create the indexes of the generation that is written."""
        for collection, models in self.declared.indexes.items():
            await self._database[in_generation(collection, self.generation)].create_indexes(list(models))

    def take_over(self, partitions: frozenset[int]) -> None:
        """Drop the documents held in memory."""
        self.documents.forget_all()

    async def work(self) -> None:
        """Nothing beside folding events."""

    async def apply(self, events: Sequence[PublicEvent]) -> Mapping[str, Failure]:
        """Fold and write. Raises `pymongo` errors when the store cannot be reached."""
        one_by_one = False
        while True:
            try:
                return await self._apply_once(events, one_by_one)
            except WriteConflict:
                continue
            except (BSONError, OverflowError, BulkWriteError) as error:
                # Some document of the batch. Which, is worth encoding all of them a second time only now.
                if one_by_one or not _not_storable(error):
                    raise
                one_by_one = True

    async def _apply_once(self, events: Sequence[PublicEvent], one_by_one: bool) -> Mapping[str, Failure]:
        before = await self.load(self._document_ids(events))
        groups = _groups(events)
        # All end before the first error is raised: the next try must find none of them still writing.
        ended = await asyncio.gather(
            *(self._apply_group(group, before, one_by_one) for group in groups), return_exceptions=True
        )
        failures: dict[str, Failure] = {}
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
            failures |= outcome
        return failures

    async def _apply_group(
        self, events: Sequence[PublicEvent], before: Mapping[str, Document | None], one_by_one: bool
    ) -> dict[str, Failure]:
        after: dict[str, Document | None] = {}
        failures: dict[str, Failure] = {}
        steps: list[Step] = []
        for event in events:
            if event.key in failures:
                continue
            try:
                document_id = self.declared.document_id(event)
                known = after.get(document_id) or before[document_id]
                document = advance(known, event, self.declared.fold)
                if document is None or document is known:
                    continue
                row = self.declared.row_of(event)
                if one_by_one:
                    _require_storable(document, row)
                step = Step(event, document_id, known, document, row, self.plan(known, event, document))
            except Exception as error:  # whatever it is, it is this event's, and its customer is parked
                failures[event.key] = Failure(event, error)
                continue
            after[document_id] = document
            steps.append(step)
        if refused := await self.carry_out(steps):
            steps = _undo(steps, refused, after)
            failures |= refused
        changed = {
            identifier: folded
            for identifier, folded in after.items()
            if folded is not None and folded is not before[identifier]
        }
        rows = [step.row for step in steps if step.row is not None]
        async with self._writing:
            await self._insert_rows(rows)
            if rows:
                crash_points.reach("after_rows")
            await self.documents.write(changed)
        return failures

    async def load(self, ids: Iterable[str]) -> dict[str, Document | None]:
        """The documents with these ids; None for those that do not exist."""
        return await self.documents.load(ids)

    def plan(self, before: Document | None, event: PublicEvent, after: Document) -> Sequence[Any]:
        """What is to be done, durably, because of an event before the documents are written: nothing for a view alone.

        What it raises is the event's failure.
        """
        return ()

    async def carry_out(self, steps: Sequence[Step]) -> Mapping[str, Failure]:
        """Do what was planned; per key the first event for which that was refused. Raises when a store is away."""
        return {}

    def _document_ids(self, events: Sequence[PublicEvent]) -> Iterator[str]:
        for event in events:
            # An event that lacks the id fails where it is folded.
            with contextlib.suppress(Exception):
                yield self.declared.document_id(event)

    async def _insert_rows(self, rows: Sequence[Document]) -> None:
        if self.rows is None or not rows:
            return
        try:
            await self.rows.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if any(write_error["code"] != _DUPLICATE_KEY for write_error in error.details["writeErrors"]):
                raise


def _undo(steps: Sequence[Step], refused: Mapping[str, Failure], after: dict[str, Document | None]) -> list[Step]:
    """Take the refused events, and the later ones of their keys, out of the documents; the steps that remain."""
    remaining: list[Step] = []
    undone: list[Step] = []
    refusing: set[str] = set()
    for step in steps:
        failure = refused.get(step.event.key)
        if failure is not None and failure.event is step.event:
            refusing.add(step.event.key)
        (undone if step.event.key in refusing else remaining).append(step)
    for step in reversed(undone):
        after[step.document_id] = step.before
    return remaining


def _not_storable(error: Exception) -> bool:
    """Whether it is about what was to be stored: a name with a NUL, an integer beyond 64 bits, 16 MB."""
    if isinstance(error, BulkWriteError):
        return any(write_error["code"] == _TOO_LARGE for write_error in error.details["writeErrors"])
    return True


def _require_storable(*documents: Document | None) -> None:
    for document in documents:
        if document is not None and len(bson.encode(document)) > _LARGEST_DOCUMENT:
            raise OverflowError("the document is larger than the store takes")


def _groups(events: Sequence[PublicEvent]) -> list[list[PublicEvent]]:
    """The events of a large batch in a few groups, each key's in one: one is folded while the store writes another."""
    if len(events) < GROUPED_FROM:
        return [list(events)]
    groups: list[list[PublicEvent]] = [[] for _ in range(GROUPS)]
    for event in events:
        groups[crc32(event.key.encode()) % GROUPS].append(event)
    return [group for group in groups if group]
