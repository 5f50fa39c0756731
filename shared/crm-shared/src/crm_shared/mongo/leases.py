"""Leases: what only one process at a time should do, and another takes up when that one has died."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

from crm_shared.domain.context import new_id
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.mongo.documents import DURABLE, Document

COLLECTION = "leases"
# Longer than clocks of different hosts differ.
LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0


class Lease:
    """The right to do one thing while it is renewed. `async with` renews a lease that was taken, and gives it back."""

    def __init__(self, database: AsyncDatabase[Document], name: str) -> None:
        self._store: AsyncCollection[Document] = database.get_collection(COLLECTION, write_concern=DURABLE)
        self._name = name
        self._holder = new_id()
        self._renewing: asyncio.Task[None] | None = None

    async def take(self) -> bool:
        """Take the lease; False while another process has it."""
        now = datetime.now(UTC)
        free = {"_id": self._name, "until": {"$lt": now}}
        try:
            await self._store.update_one(free, {"$set": self._until(now)}, upsert=True)
        except DuplicateKeyError:
            return False
        return await self._is_held()

    async def require(self) -> None:
        """Raise `StoreUnavailable` unless it is still held."""
        if not await self._is_held():
            raise StoreUnavailable(f"the lease of the {self._name} was lost meanwhile")

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._store.delete_one({"_id": self._name, "holder": self._holder})

    async def _is_held(self) -> bool:
        lease = await self._store.find_one({"_id": self._name})
        return lease is not None and bool(lease["holder"] == self._holder)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                held = {"_id": self._name, "holder": self._holder}
                await self._store.update_one(held, {"$set": self._until(datetime.now(UTC))})
            except PyMongoError:
                # Not renewed for long it is another's, which `require` finds.
                continue

    def _until(self, now: datetime) -> Document:
        return {"holder": self._holder, "until": now + timedelta(seconds=LEASE_SECONDS)}
