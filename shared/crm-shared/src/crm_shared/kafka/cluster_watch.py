"""Which cluster a process's broker belongs to: looked at now and then, once for all that want to know."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from aiokafka.admin import AIOKafkaAdminClient

LOOK_SECONDS = 2.0


async def cluster_id(admin: AIOKafkaAdminClient) -> str:
    """The id of the cluster that the client is connected to now."""
    described = await admin.describe_cluster()
    return str(described["cluster_id"])


class ClusterWatch:
    """Which cluster the address leads to, as of the last two seconds: one connection while anybody wants to know."""

    def __init__(self, new_admin: Callable[[], AIOKafkaAdminClient]) -> None:
        self._new_admin = new_admin
        self._admin: AIOKafkaAdminClient | None = None
        self._looking = asyncio.Lock()
        self._known = ""
        self._known_at = float("-inf")
        self._users = 0

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator["ClusterWatch"]:
        """While the block runs its connection is kept; the last block that ends closes it."""
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                await self._close()

    async def cluster(self) -> str:
        """The cluster's id. Raises `KafkaError` when no broker answers."""
        async with self._looking:
            if time.monotonic() - self._known_at >= LOOK_SECONDS:
                try:
                    if self._admin is None:
                        self._admin = self._new_admin()
                        await self._admin.start()
                    self._known = await cluster_id(self._admin)
                except BaseException:
                    await self._close()
                    raise
                self._known_at = time.monotonic()
            return self._known

    async def _close(self) -> None:
        admin, self._admin = self._admin, None
        self._known_at = float("-inf")
        if admin is not None:
            await admin.close()
