"""A view in PostgreSQL, looked at from outside."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from benchmarks.peers.views import ByPosition


class Tables(ByPosition):
    """A view in PostgreSQL: a table of customers with their `purchases`, and one of rows with their `position`."""

    def __init__(self, connection: AsyncConnection[Any], customers: str, timeline: str) -> None:
        super().__init__()
        self._connection = connection
        self._customers = customers
        self._timeline = timeline

    async def highest(self) -> int:
        return int((await self._rows(f"SELECT coalesce(max(position), 0) FROM {self._timeline}"))[0][0])

    async def found(self, positions: Sequence[int]) -> Sequence[int]:
        statement = f"SELECT position FROM {self._timeline} WHERE position = ANY(%s)"
        return [int(row[0]) for row in await self._rows(statement, list(positions))]

    async def applied(self) -> int:
        return int((await self._rows(f"SELECT count(*) FROM {self._timeline}"))[0][0])

    async def counts(self) -> Counter[str]:
        found = await self._rows(f"SELECT customer_id::text, purchases FROM {self._customers}")
        return Counter({row[0]: int(row[1]) for row in found})

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        cursor = await self._connection.execute(statement, parameters)
        return await cursor.fetchall()
