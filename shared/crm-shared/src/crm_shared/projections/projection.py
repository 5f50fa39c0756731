"""Projections: public events folded into documents, each event once, and rows added beside them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from zlib import crc32

import bson
from bson.errors import BSONError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo.documents import DOCUMENTS_KEPT, DURABLE, Document, Documents, Lookup, WriteConflict
from crm_shared.observability import crash_points
from crm_shared.projections.generations import in_generation

Fold = Callable[[Document | None, PublicEvent], Document]
# What a smaller batch would gain by groups, it would lose by their seals.
GROUPED_FROM = 100
GROUPS = 4
_DUPLICATE_KEY = 11000
_LARGEST_DOCUMENT = 16 * 1024 * 1024
_TOO_LARGE = 10334


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that could not be applied, although the stores work: it is the event or the code."""

    event: PublicEvent
    error: Exception


class Applier(Protocol):
    """What a consumer hands events to."""

    @property
    def name(self) -> str:
        """The permanent name: the consumer group, and the prefix of what it stores about itself."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics to read."""

    @property
    def handles(self) -> frozenset[str]:
        """The CloudEvents types that it applies; others are skipped unread."""

    @property
    def generation(self) -> int:
        """The generation of the view that it writes."""

    async def prepare(self, generation: int) -> None:
        """Create the collections and indexes of a generation of the view, and write to it from now on."""

    async def apply(self, events: Sequence[PublicEvent]) -> Mapping[str, Failure]:
        """Apply events durably, each key's in their order; the first failure of each key that has one.

        The failed event and the later ones of its key are left out. Raises when a store cannot be reached.
        """

    def take_over(self, partitions: frozenset[int]) -> None:
        """These are the partitions owned from now on: drop what is held in memory of any other owner's time."""

    async def work(self) -> None:
        """What else there is to do while the projection runs; returns when there is nothing."""


def advance(document: Document | None, event: PublicEvent, fold: Fold) -> Document | None:
    """The document after the event; the same object when it was applied before.

    `positions` holds the last applied log position per source, so duplicates, redeliveries and replays change
    nothing.
    """
    positions = document["positions"] if document else {}
    if event.sequence <= positions.get(event.service, 0):
        return document
    return {**fold(document, event), "positions": {**positions, event.service: event.sequence}}


class DocumentProjection:
    """Folds events into one document per key, and optionally adds one row per event to a second collection.

    Rows carry the event's id as `_id` and are written before the document, so that a crash in between repeats
    the row and does not lose it. `kept` is how many documents are held in memory for the next batches. `indexes`
    maps the name of a collection to its `IndexModel`s.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        *,
        name: str,
        topics: Sequence[str],
        handles: frozenset[str],
        collection: str,
        fold: Fold,
        document_id: Callable[[PublicEvent], str] = lambda event: event.key,
        rows: "tuple[str, Callable[[PublicEvent], Document | None]] | None" = None,
        lookup: Lookup | None = None,
        indexes: Mapping[str, Sequence[Any]] | None = None,
        kept: int = DOCUMENTS_KEPT,
    ) -> None:
        self.name = name
        self.topics = topics
        self.handles = handles
        self._collection = collection
        self._rows = rows[0] if rows else None
        self._lookup = lookup
        self._database = database
        self.fold = fold
        self.document_id = document_id
        self._row = rows[1] if rows else None
        self._indexes = indexes or {}
        self._kept = kept
        # One group is written at a time: side by side, the embedded store takes half as long again over them.
        self._writing = asyncio.Lock()
        self.write_to(1)

    @property
    def collections(self) -> Sequence[str]:
        """The names of what it writes, in the first generation; the documents come first."""
        beside = (self._rows, self._lookup.collection if self._lookup else None)
        return [self._collection, *(name for name in beside if name is not None)]

    def write_to(self, generation: int) -> None:
        """Write to a generation of the view from now on."""
        self.generation = generation
        lookup = self._lookup
        if lookup is not None:
            lookup = replace(lookup, collection=in_generation(lookup.collection, generation))
        name = in_generation(self._collection, generation)
        self.documents = Documents(self._database, name, limit=self._kept, lookup=lookup)
        self.rows = None
        if self._rows is not None:
            self.rows = self._database.get_collection(in_generation(self._rows, generation), write_concern=DURABLE)

    async def prepare(self, generation: int) -> None:
        """Create the indexes."""
        self.write_to(generation)
        await self.create_indexes()

    async def create_indexes(self) -> None:
        """Create the indexes of the generation that is written."""
        for collection, models in self._indexes.items():
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
        before = await self.documents.load(self._document_ids(events))
        groups = _groups(events)
        # All end before the first error is raised: the next try must find none of them still writing.
        ended = await asyncio.gather(
            *(self._apply_group(group, before, one_by_one) for group in groups), return_exceptions=True
        )
        failures: dict[str, Failure] = {}
        for one in ended:
            if isinstance(one, BaseException):
                raise one
            failures |= one
        return failures

    async def _apply_group(
        self, events: Sequence[PublicEvent], before: Mapping[str, Document | None], one_by_one: bool
    ) -> dict[str, Failure]:
        after: dict[str, Document | None] = {}
        failures: dict[str, Failure] = {}
        rows: list[Document] = []
        for event in events:
            if event.key in failures:
                continue
            try:
                one = self.document_id(event)
                known = after.get(one) or before[one]
                document = advance(known, event, self.fold)
                row = self.row_of(event) if document is not known else None
                if one_by_one:
                    _require_storable(document, row)
            except Exception as error:  # whatever it is, it is this event's, and its customer is parked
                failures[event.key] = Failure(event, error)
                continue
            after[one] = document
            if row is not None:
                rows.append(row)
        changed = {one: found for one, found in after.items() if found is not None and found is not before[one]}
        async with self._writing:
            await self._insert_rows(rows)
            if rows:
                crash_points.reach("after_rows")
            await self.documents.write(changed)
        return failures

    def _document_ids(self, events: Sequence[PublicEvent]) -> Iterator[str]:
        for event in events:
            # One that lacks the id fails where it is folded.
            with contextlib.suppress(Exception):
                yield self.document_id(event)

    def row_of(self, event: PublicEvent) -> Document | None:
        """The row that the event adds, with the event's id as its own; None if it adds none."""
        row = self._row(event) if self._row else None
        return None if row is None else {**row, "_id": event.id}

    async def _insert_rows(self, rows: Sequence[Document]) -> None:
        if self.rows is None or not rows:
            return
        try:
            await self.rows.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise


def _not_storable(error: Exception) -> bool:
    """Whether it is about what was to be stored: a name with a NUL, an integer beyond 64 bits, 16 MB."""
    if isinstance(error, BulkWriteError):
        return any(one["code"] == _TOO_LARGE for one in error.details["writeErrors"])
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
