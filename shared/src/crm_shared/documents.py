"""Documents of a view: held in memory by the process that owns their partitions, written once per batch."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import InsertOne, ReplaceOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

Document = dict[str, Any]

# An acknowledged write survives a crash of the store; Kafka offsets are committed only after it.
DURABLE = WriteConcern(w="majority", j=True)
# Some 5 KB each in memory; a process should stay below 150 MB.
DOCUMENTS_KEPT = 8_000
_DUPLICATE_KEY = 11000


class WriteConflict(Exception):
    """Another process wrote a document since it was read: read again and decide again."""


class Documents:
    """One collection of documents, each guarded by its `revision`.

    Only the owner of a partition writes its documents, so what was read or written once is kept and not read
    again. Should two processes believe to be owners, the revision lets one of them win and the other raises
    `WriteConflict`.
    """

    def __init__(self, database: AsyncDatabase[Document], name: str, *, limit: int = DOCUMENTS_KEPT) -> None:
        self.collection: AsyncCollection[Document] = database.get_collection(name, write_concern=DURABLE)
        self._kept: OrderedDict[str, Document | None] = OrderedDict()
        self._limit = limit

    def not_held(self, ids: Iterable[str]) -> list[str]:
        """Those that `load` will read from the store."""
        return [one for one in ids if one not in self._kept]

    async def load(self, ids: Iterable[str]) -> dict[str, Document | None]:
        """The documents with these ids; None for those that do not exist."""
        wanted = dict.fromkeys(ids)
        missing = [one for one in wanted if one not in self._kept]
        if missing:
            found: dict[str, Document | None] = dict.fromkeys(missing)
            async for document in self.collection.find({"_id": {"$in": missing}}):
                found[document["_id"]] = document
            self._kept.update(found)
        loaded = {one: self._kept[one] for one in wanted}
        for one in wanted:
            self._kept.move_to_end(one)
        # Here and not in `write`: a history that is read again loads everything and changes nothing.
        while len(self._kept) > max(self._limit, len(wanted)):
            self._kept.popitem(last=False)
        return loaded

    async def write(self, documents: Mapping[str, Document]) -> None:
        """Write documents that `load` returned (or did not find), changed by their fold.

        Raises `WriteConflict` when another process was faster with one of them; the others are written.
        """
        if not documents:
            return
        operations: list[InsertOne[Document] | ReplaceOne[Document]] = []
        replaced = 0
        written: dict[str, Document] = {}
        for one, document in documents.items():
            before = self._kept.get(one)
            revision = before["revision"] if before else 0
            after = {**document, "_id": one, "revision": revision + 1}
            written[one] = after
            if before is None:
                operations.append(InsertOne(after))
            else:
                # The embedded store would consider every index of the collection, at a fifth of the write's cost.
                operations.append(ReplaceOne({"_id": one, "revision": revision}, after, hint="_id_"))
                replaced += 1
        try:
            result = await self.collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            self.forget(documents)
            if all(one["code"] == _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise WriteConflict("a document was created by another process") from error
            raise
        except BaseException:
            self.forget(documents)
            raise
        if result.matched_count != replaced:
            self.forget(documents)
            raise WriteConflict("a document was changed by another process")
        self._kept.update(written)

    def forget(self, ids: Iterable[str]) -> None:
        """Read these again the next time."""
        for one in ids:
            self._kept.pop(one, None)

    def forget_all(self) -> None:
        """Read everything again: partitions may have been somebody else's in between."""
        self._kept.clear()
