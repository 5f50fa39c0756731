"""One command for writes to several collections: MongoDB's `bulkWrite`, since its version 8.0."""

from collections.abc import Mapping
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from crm_shared.mongo.documents import DURABLE, Document

_WIRE_VERSION: Final = 25
# The command is one document, of at most 16 MB; what is larger is better written collection by collection.
LARGEST_BYTES: Final = 4 * 1024 * 1024


class Stopped(Exception):
    """A write was refused; those before it have been carried out, and none after it. `code` is the store's."""

    def __init__(self, index: int, code: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.code = code


class OneCommand:
    """Writes in their order, up to the first that is refused.

    Durable when it returns, except on the embedded store: there it is when a later write to this store is durable. On a
    store that dies meanwhile, what remains is always an unbroken beginning of it.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._operations: list[dict[str, Any]] = []
        self._namespaces: dict[str, int] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._operations)

    def insert(self, collection: AsyncCollection[Document], document: Document) -> None:
        """Insert a document; refused when there is one with its id."""
        encoded = self._encoded(document)
        self._operations.append({"insert": self._index_of(collection), "document": encoded})

    def replace(self, collection: AsyncCollection[Document], expected: Document, document: Document) -> None:
        """Replace the document that is as expected; refused when it is another, and inserted when there is none."""
        self._upsert(collection, expected, self._encoded(document))

    def update(self, collection: AsyncCollection[Document], expected: Document, update: Document) -> None:
        """Update the document that is as expected; refused when it is another, and inserted when there is none."""
        self._upsert(collection, expected, update)

    async def run(self) -> None:
        """Carry them out. Raises `Stopped`, and `pymongo` errors when the store cannot be reached."""
        reply = await self._database.client.admin.command(
            {
                "bulkWrite": 1,
                "ops": self._operations,
                "nsInfo": [{"ns": namespace} for namespace in self._namespaces],
                "ordered": True,
                "errorsOnly": True,
                "writeConcern": DURABLE.document,
            }
        )
        if reply["nErrors"]:
            refused = reply["cursor"]["firstBatch"][0]
            raise Stopped(int(refused["idx"]), int(refused["code"]), str(refused.get("errmsg", "")))
        if trouble := reply.get("writeConcernError"):
            raise OperationFailure(str(trouble.get("errmsg", trouble)), int(trouble.get("code", 0)))

    def _upsert(self, collection: AsyncCollection[Document], expected: Document, mods: Mapping[str, Any]) -> None:
        # Without the hint the embedded store would consider every index of the collection.
        operation = {"update": self._index_of(collection), "filter": expected, "updateMods": mods}
        self._operations.append({**operation, "multi": False, "upsert": True, "hint": "_id_"})

    def _encoded(self, document: Document) -> RawBSONDocument:
        encoded = bson.encode(document)
        self.size += len(encoded)
        return RawBSONDocument(encoded)

    def _index_of(self, collection: AsyncCollection[Document]) -> int:
        return self._namespaces.setdefault(collection.full_name, len(self._namespaces))


def takes_one_command(database: AsyncDatabase[Document]) -> bool:
    """Whether the store takes such a command, and has one journal for all of it: it is no sharded cluster."""
    servers = database.client.topology_description.server_descriptions().values()
    known = [server for server in servers if server.server_type_name != "Unknown"]
    return bool(known) and all(
        server.max_wire_version >= _WIRE_VERSION and server.server_type_name != "Mongos" for server in known
    )
