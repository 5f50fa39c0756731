"""Keeping a view: events folded into its documents in batches, each event once, and rows added beside them."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import bson
from bson.errors import BSONError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo.documents import DUPLICATE_KEY, DURABLE, Document, Documents, PartitionOf, WriteConflict
from crm_shared.mongo.one_command import LARGEST_BYTES, OneCommand, Stopped, takes_one_command
from crm_shared.observability import crash_points
from crm_shared.projections.generations import in_generation
from crm_shared.projections.progress_keeper import Displaced, Note
from crm_shared.projections.projection import Failure, Projection, advance

# Up to so many writes travel in one command.
TOGETHER = 64
# So many rows, or new documents, cost the store less in a command of their own.
APART = 4
# What a smaller batch would gain by groups, it would lose by their seals.
GROUPED_FROM = 100
GROUPS = 4
# History that is sent again comes for as long, and all of it was there.
DOUBT_SECONDS = 10.0
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
    and does not lose it. A small batch is written in one command: one round trip and, on the embedded store, no wait
    for the disk. Of a large one, each collection is written by itself, durably.
    """

    # Whether events have effects beside the view: `plan` and `carry_out` are asked then. A view alone holds no step,
    # and so lets go of what documents were in the middle of a batch.
    acts = False

    def __init__(
        self, database: AsyncDatabase[Document], declared: Projection, *, partition_of: PartitionOf | None = None
    ) -> None:
        self.declared = declared
        self.name = declared.name
        self.topics = declared.topics
        self.handles = declared.handles
        self.gather_seconds = declared.gather_seconds
        # Until then documents that are written once are read before, for some were there already.
        self._doubted_until = float("-inf")
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

    def sealed(self) -> None:
        """Everything that was written so far is durable."""
        self.documents.sealed()

    async def work(self) -> None:
        """Nothing beside folding events."""

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        """Fold and write, and the note with it where that is one command and nothing has failed.

        Raises `Displaced`, and `pymongo` errors when the store cannot be reached.
        """
        one_by_one = False
        while True:
            try:
                return await self._apply_once(events, note, one_by_one)
            except WriteConflict:
                self._doubted_until = time.monotonic() + DOUBT_SECONDS
                if note is not None:
                    # Should the store have lost what was written before, this is not where to go on from.
                    note.close()
            except (BSONError, OverflowError, BulkWriteError) as error:
                # Some document of the batch. Which, is worth encoding all of them a second time only now.
                if one_by_one or not _not_storable(error):
                    raise
                one_by_one = True

    async def _apply_once(
        self, events: Sequence[PublicEvent], note: Note | None, one_by_one: bool
    ) -> Mapping[str, Failure]:
        before: Mapping[str, Document | None]
        if self.declared.written_once and time.monotonic() >= self._doubted_until:
            before = dict.fromkeys(self._document_ids(events))
        else:
            before = await self.load(self._document_ids(events))
        groups = _groups(events)
        together = note if len(groups) == 1 and not one_by_one else None
        if note is not None and len(groups) > 1:
            # Here and not when the first group is folded: its answer would wait for the others to be folded, and the
            # store would have nothing to do meanwhile.
            await note.open()
        # All end before the first error is raised: the next try must find none of them still writing.
        ended = await asyncio.gather(
            *(self._apply_group(group, before, note, together, one_by_one) for group in groups), return_exceptions=True
        )
        failures: dict[str, Failure] = {}
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
            failures |= outcome
        if self.declared.written_once:
            # They will not be needed, and `load`, which makes room for others, is hardly ever called.
            self.documents.forget_all()
        return failures

    async def _apply_group(
        self,
        events: Sequence[PublicEvent],
        before: Mapping[str, Document | None],
        note: Note | None,
        together: Note | None,
        one_by_one: bool,
    ) -> dict[str, Failure]:
        after: dict[str, Document | None] = {}
        moved: set[str] = set()
        failures: dict[str, Failure] = {}
        rows: list[Document] = []
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
                step = None
                if self.acts:
                    step = Step(event, document_id, known, document, row, self.plan(known, event, document))
            except Exception as error:  # whatever it is, it is this event's, and its customer is parked
                failures[event.key] = Failure(event, error)
                continue
            if known is not None and known is after.get(document_id) and document_id not in moved:
                first = before[document_id]
                if first is not None and self.documents.moves(first, known):
                    moved.add(document_id)
            after[document_id] = document
            if step is not None:
                steps.append(step)
            elif row is not None:
                rows.append(row)
        if steps and (refused := await self.carry_out(steps)):
            steps = _undo(steps, refused, after)
            failures |= refused
        changed = {
            identifier: folded
            for identifier, folded in after.items()
            if folded is not None and folded is not before[identifier]
        }
        rows += [step.row for step in steps if step.row is not None]
        async with self._writing:
            if failures or together is None or not await self._write_together(rows, changed, moved, together):
                if note is not None and (rows or changed):
                    await note.open()
                await self._insert_rows(rows)
                if rows:
                    crash_points.reach("after_rows")
                await self.documents.write(changed, moved)
        return failures

    async def _write_together(
        self, rows: Sequence[Document], changed: Mapping[str, Document], moved: Collection[str], note: Note
    ) -> bool:
        """Write rows, entries, documents and the note in one command; False when that cannot be."""
        changes = self.documents.changes(changed, moved)
        rows_apart = len(rows) >= APART
        # Not before their entries: a store that then lost its end would hold documents that are never found again.
        new_apart = len(changes.new) >= APART and self.documents.lookup is None
        size = len(changes.changed) + len(changes.entries) + (0 if new_apart else len(changes.new))
        if note.is_doubted or not size + len(rows) + len(changes.new) > 0 or not takes_one_command(self._database):
            return False
        if size + (0 if rows_apart else len(rows)) > TOGETHER:
            return False
        command = OneCommand(self._database)
        progress = note.keeper.collection
        if self.documents.need_check(changes):
            command.update(progress, *note.check())
        first = len(command)
        if self.rows is not None and not rows_apart:
            for row in rows:
                command.insert(self.rows, row)
        self.documents.add_entries(command, changes)
        before_documents = len(command)
        self.documents.add_documents(command, changes, without_new=new_apart)
        end = len(command)
        command.update(progress, *note.end())
        if command.size > LARGEST_BYTES:
            return False
        # Durably, and so before everything that says that they have been written.
        if rows_apart:
            await self._insert_rows(rows)
            crash_points.reach("after_rows")
        if new_apart:
            await self.documents.insert(changes.new)
            crash_points.reach("after_new_documents")
        try:
            await command.run()
        except Stopped as stopped:
            if stopped.code != DUPLICATE_KEY:
                raise BulkWriteError({"writeErrors": [{"code": stopped.code, "errmsg": str(stopped)}]}) from None
            if first <= stopped.index < before_documents:
                # Written before, by a batch that a crash has ended between its rows and its documents.
                return False
            if self.declared.written_once and stopped.index < end:
                raise WriteConflict("a document that was taken for new was there already") from None
            if first <= stopped.index < end:
                raise Displaced(f"a document of {self.name} is not as it was left") from None
            raise note.keeper.displaced() from None
        note.ended()
        self.documents.wrote(changes)
        return True

    async def load(self, ids: Iterable[str]) -> dict[str, Document | None]:
        """The documents with these ids; None for those that do not exist."""
        return await self.documents.load(ids)

    def plan(self, before: Document | None, event: PublicEvent, after: Document) -> Sequence[Any]:
        """What is to be done, durably, because of an event before the documents are written.

        What it raises is the event's failure.
        """
        raise NotImplementedError

    async def carry_out(self, steps: Sequence[Step]) -> Mapping[str, Failure]:
        """Do what was planned; per key the first event for which that was refused. Raises when a store is away."""
        raise NotImplementedError

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
            if any(write_error["code"] != DUPLICATE_KEY for write_error in error.details["writeErrors"]):
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
