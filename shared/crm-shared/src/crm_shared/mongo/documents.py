"""Documents of a view: held in memory by the process that owns their partitions, written once per batch."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

if TYPE_CHECKING:
    from crm_shared.mongo.one_command import OneCommand

Document = dict[str, Any]
PartitionOf = Callable[[bytes], int]
"""The partition of a key, in every topic of events."""

# An acknowledged write survives a crash of the store; Kafka offsets are committed only after it.
DURABLE = WriteConcern(w="majority", j=True)
# Some 5 KB each in memory; a process should stay below 150 MB.
DOCUMENTS_KEPT = 8_000
# With fewer documents the seal is no gain.
SEALED_FROM = 3
# What is sure to fit into one command.
SEALED_BYTES = 16 * 1024 * 1024
DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Lookup:
    """What documents are found by, in a collection beside them that carries the indexes.

    `fields` names what of a document is searched, sorted or counted by. Most events change none of it, and replacing a
    document costs twice as much with two indexes as with none. With `by_partition` an entry also says, as `partition`,
    in which partition of the topics its document's events are: work that belongs to a partition's owner is found by it.
    """

    collection: str
    fields: Callable[[Document], Document]
    by_partition: bool = False

    def entry(self, document_id: str, document: Document, partition_of: PartitionOf) -> Document:
        """The entry of a document with this id."""
        entry = {**self.fields(document), "_id": document_id, "revision": document["revision"]}
        if self.by_partition:
            entry["partition"] = partition_of(document_id.encode())
        return entry


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch writes to one collection of documents: new ones, changed ones, and entries of the lookup."""

    new: list[Document] = field(default_factory=list)
    changed: list[Document] = field(default_factory=list)
    entries: list[Document] = field(default_factory=list)

    @property
    def documents(self) -> Iterator[Document]:
        """The documents, as they are to be."""
        return chain(self.new, self.changed)


class WriteConflict(Exception):
    """Another process wrote a document since it was read: read again and decide again."""


class Documents:
    """One collection of documents, each guarded by its `revision`.

    Only the owner of a partition writes its documents, so what was read or written once is kept and not read
    again. Should two processes believe to be owners, the revision lets one of them win and the other raises
    `WriteConflict`. With a `lookup`, an entry of it is written before the document whenever it has changed.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        name: str,
        *,
        limit: int = DOCUMENTS_KEPT,
        lookup: Lookup | None = None,
        partition_of: PartitionOf | None = None,
    ) -> None:
        if lookup is not None and lookup.by_partition and partition_of is None:
            raise TypeError(f"{lookup.collection} goes by partition: say which partition a key is in")
        self.collection: AsyncCollection[Document] = database.get_collection(name, write_concern=DURABLE)
        self.lookup = lookup
        self._partition_of: PartitionOf = partition_of or (lambda key: 0)
        self.entries: AsyncCollection[Document] | None = (
            database.get_collection(lookup.collection, write_concern=DURABLE) if lookup else None
        )
        self._kept: OrderedDict[str, Document | None] = OrderedDict()
        self._limit = limit
        # Those that were inserted, and those that were written, in commands since the last seal.
        self._new: set[str] = set()
        self._unsealed: set[str] = set()

    def not_held(self, ids: Iterable[str]) -> list[str]:
        """Those that `load` will read from the store."""
        return [document_id for document_id in ids if document_id not in self._kept]

    def entry(self, document_id: str, document: Document) -> Document:
        """The lookup's entry of a document with this id. Raises `LookupError` where there is no lookup."""
        if self.lookup is None:
            raise LookupError(f"{self.collection.name} has no lookup")
        return self.lookup.entry(document_id, document, self._partition_of)

    async def load(self, ids: Iterable[str]) -> dict[str, Document | None]:
        """The documents with these ids; None for those that do not exist."""
        wanted = dict.fromkeys(ids)
        missing = [document_id for document_id in wanted if document_id not in self._kept]
        if missing:
            stored: dict[str, Document | None] = dict.fromkeys(missing)
            async for document in self.collection.find({"_id": {"$in": missing}}):
                stored[document["_id"]] = document
            self._kept.update(stored)
        loaded = {document_id: self._kept[document_id] for document_id in wanted}
        for document_id in wanted:
            self._kept.move_to_end(document_id)
        # Here and not in `write`: a history that is read again loads everything and changes nothing.
        while len(self._kept) > max(self._limit, len(wanted)):
            if next(iter(self._kept)) in self._unsealed:
                # Read again from a store that has lost it, it would go on without what is lost.
                break
            self._kept.popitem(last=False)
        return loaded

    def moves(self, before: Document, after: Document) -> bool:
        """Whether the lookup finds the one by something else than the other."""
        return self.lookup is not None and self.lookup.fields(before) != self.lookup.fields(after)

    def changes(self, documents: Mapping[str, Document], moved: Collection[str] = ()) -> "Changes":
        """What writing these documents, which `load` returned (or did not find), comes to in the store.

        Those in `moved` were found by something else in between. Their entries are written although they say the same
        again: an earlier attempt may have ended there.
        """
        changes = Changes()
        for document_id, document in documents.items():
            before = self._kept.get(document_id)
            revision = before["revision"] if before else 0
            after = {**document, "_id": document_id, "revision": revision + 1}
            (changes.new if before is None else changes.changed).append(after)
            if self.lookup and (before is None or document_id in moved or self.moves(before, after)):
                changes.entries.append(self.entry(document_id, after))
        return changes

    def add_entries(self, command: "OneCommand", changes: "Changes") -> None:
        """Add the entries to a command; refused where there is one already, or one of a later revision."""
        if self.entries is not None:
            for entry in changes.entries:
                if entry["revision"] == 1:
                    command.insert(self.entries, entry)
                else:
                    command.replace(self.entries, _not_later(entry), entry)

    def add_documents(self, command: "OneCommand", changes: "Changes", *, without_new: bool = False) -> None:
        """Add the documents to a command; refused where one is not as it was before."""
        for document in () if without_new else changes.new:
            command.insert(self.collection, document)
        for document in changes.changed:
            command.replace(self.collection, _before(document), document)

    async def insert(self, new: Sequence[Document]) -> None:
        """Insert documents, durably. Raises `WriteConflict` when one exists; the others are written."""
        try:
            await self.collection.insert_many(new, ordered=False)
        except BulkWriteError as error:
            self.forget(document["_id"] for document in new)
            if not _only_duplicates(error):
                raise
            raise WriteConflict("a document was created by another process") from error

    def wrote(self, changes: "Changes") -> None:
        """They are in the store, maybe not durably: hold them for the next batches."""
        self._hold(changes)
        self._new.update(document["_id"] for document in changes.new)
        self._unsealed.update(document["_id"] for document in changes.documents)

    def _hold(self, changes: "Changes") -> None:
        for document in changes.documents:
            self._kept[document["_id"]] = document

    def need_check(self, changes: "Changes") -> bool:
        """Whether a store that has lost its last writes would not refuse all of these.

        It would insert a changed document that it has lost, and replace an entry before the document is refused: with a
        revision that the document then comes to with another content.
        """
        return any(document["_id"] in self._new for document in changes.changed) or any(
            entry["revision"] > 1 for entry in changes.entries
        )

    def sealed(self) -> None:
        """Everything that was written so far is durable."""
        self._new.clear()
        self._unsealed.clear()

    async def write(self, documents: Mapping[str, Document], moved: Collection[str] = ()) -> None:
        """Write documents that `load` returned (or did not find), changed by their fold; `moved` as for `changes`.

        Raises `WriteConflict` when another process was faster with one of them; the others are written.
        """
        if not documents:
            return
        changes = self.changes(documents, moved)
        entries = changes.entries
        try:
            await self._write_entries(entries)
            if changes.new:
                await self.collection.insert_many(changes.new, ordered=False)
            if changes.changed:
                await self._replace(changes.changed)
        except BulkWriteError as error:
            self.forget(documents)
            if not _only_duplicates(error):
                raise
            await self._correct_entries(entries)
            raise WriteConflict("a document was created by another process") from error
        except WriteConflict:
            self.forget(documents)
            await self._correct_entries(entries)
            raise
        except BaseException:
            self.forget(documents)
            raise
        self._hold(changes)

    async def _replace(self, changed: Sequence[Document]) -> None:
        """Replace documents durably, each guarded by the revision before."""
        if len(changed) >= SEALED_FROM and not self._is_sharded():
            encoded = [bson.encode(after) for after in changed]
            if sum(map(len, encoded)) <= SEALED_BYTES:
                await self._replace_and_seal(changed, encoded)
                return
        # Without the hint the embedded store would consider every index of the collection.
        operations = [ReplaceOne(_before(after), after, hint="_id_") for after in changed]
        result = await self.collection.bulk_write(operations, ordered=False)
        _require(result.matched_count == len(changed))

    async def _replace_and_seal(self, changed: Sequence[Document], encoded: Sequence[bytes]) -> None:
        """The same with one wait for the disk, which the embedded store would need for each document.

        One command replaces one document after the other without waiting for the journal. Then a durable write to
        the last of them, which must still be as the command left it. A journal is written in order, and so is the
        log of a replica set: what has the last document has the others, and when the seal is durable all are. A store
        that restarted in between and lost the end of its journal has lost the last document, too: a conflict.
        """
        statements = [
            {"q": _before(after), "u": RawBSONDocument(raw), "hint": "_id_"}
            for after, raw in zip(changed, encoded, strict=True)
        ]
        command = {"update": self.collection.name, "updates": statements, "ordered": True, "writeConcern": {"w": 1}}
        result = await self.collection.database.command(command)
        if "writeErrors" in result:
            raise BulkWriteError(result)
        _require(result["n"] == len(changed))
        await self._seal(changed[-1])

    async def _seal(self, last: Document) -> None:
        sealed = await self.collection.update_one(
            {"_id": last["_id"], "revision": last["revision"]}, {"$inc": {"revision": 1}}
        )
        _require(sealed.matched_count == 1)
        last["revision"] += 1

    def _is_sharded(self) -> bool:
        """Whether documents are spread over several stores, each with a journal of its own."""
        servers = self.collection.database.client.topology_description.server_descriptions().values()
        return any(server.server_type_name == "Mongos" for server in servers)

    async def _write_entries(self, entries: Sequence[Document]) -> None:
        """Write entries, except where there is one of a later revision."""
        if self.entries is None or not entries:
            return
        new = [entry for entry in entries if entry["revision"] == 1]
        later = [entry for entry in entries if entry["revision"] > 1]
        if new:
            try:
                await self.entries.insert_many(new, ordered=False)
            except BulkWriteError as error:
                if not _only_duplicates(error):
                    raise
                # Written before, and then its document was not.
                later += [new[write_error["index"]] for write_error in error.details["writeErrors"]]
        if later:
            operations = [ReplaceOne(_not_later(entry), entry, upsert=True) for entry in later]
            try:
                await self.entries.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                if not _only_duplicates(error):
                    raise

    async def _correct_entries(self, entries: Iterable[Document]) -> None:
        """Make entries whose documents were not written say again what the documents say."""
        if self.lookup and (ids := [entry["_id"] for entry in entries]):
            documents = [document async for document in self.collection.find({"_id": {"$in": ids}})]
            await self._write_entries([self.entry(document["_id"], document) for document in documents])

    def forget(self, ids: Iterable[str]) -> None:
        """Read these again the next time."""
        for document_id in ids:
            self._kept.pop(document_id, None)

    def forget_all(self) -> None:
        """Read everything again: partitions may have been somebody else's in between."""
        self._kept.clear()
        self.sealed()


def _not_later(entry: Document) -> Document:
    return {"_id": entry["_id"], "revision": {"$lte": entry["revision"]}}


def _before(after: Document) -> Document:
    return {"_id": after["_id"], "revision": after["revision"] - 1}


def _require(all_matched: bool) -> None:
    if not all_matched:
        raise WriteConflict("a document was changed by another process, or the store has lost its last writes")


def _only_duplicates(error: BulkWriteError) -> bool:
    return all(write_error["code"] == DUPLICATE_KEY for write_error in error.details["writeErrors"])
