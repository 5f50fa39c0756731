"""Where the relay stands, per Kafka cluster, in a table beside the log."""

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier


class Positions:
    """Where the relay stands, per Kafka cluster, in a table beside the log."""

    def __init__(self, connection: AsyncConnection[DictRow], schema: str) -> None:
        self._connection = connection
        self._table = Identifier(schema, "relay_positions")

    async def create(self) -> None:
        await self._connection.execute(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} (cluster_id text PRIMARY KEY, position bigint NOT NULL,"
                " updated_at timestamptz NOT NULL DEFAULT now())"
            ).format(self._table)
        )

    async def load(self, cluster: str) -> int:
        query = SQL("SELECT position FROM {} WHERE cluster_id = %s").format(self._table)
        row = await (await self._connection.execute(query, (cluster,))).fetchone()
        return int(row["position"]) if row else 0

    async def save(self, cluster: str, position: int) -> None:
        query = SQL(
            "INSERT INTO {} (cluster_id, position) VALUES (%s, %s)"
            " ON CONFLICT (cluster_id) DO UPDATE SET position = excluded.position, updated_at = now()"
        ).format(self._table)
        await self._connection.execute(query, (cluster, position))
