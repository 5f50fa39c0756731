"""Where the relay stands, per Kafka cluster, in a table beside the log."""

import time

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from crm_shared.observability import crash_points

# While events keep coming the position is saved so often: what a successor sends again is harmless.
SAVE_SECONDS = 0.2


class Positions:
    """Where the relay stands, per Kafka cluster, in a table beside the log."""

    def __init__(self, connection: AsyncConnection[DictRow], schema: str) -> None:
        self._connection = connection
        self._table = Identifier(schema, "relay_positions")
        self._cluster = ""
        self.saved = 0
        self._saved_at = 0.0

    async def create(self) -> None:
        """Create the table where it is missing."""
        await self._connection.execute(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} (cluster_id text PRIMARY KEY, position bigint NOT NULL,"
                " updated_at timestamptz NOT NULL DEFAULT now())"
            ).format(self._table)
        )

    async def load(self, cluster: str) -> int:
        """The position in a cluster, which is the one that is saved from now on; 0 when there is none."""
        query = SQL("SELECT position FROM {} WHERE cluster_id = %s").format(self._table)
        row = await (await self._connection.execute(query, (cluster,))).fetchone()
        self._cluster, self.saved = cluster, int(row["position"]) if row else 0
        return self.saved

    async def save(self, position: int, *, now: bool = False) -> None:
        """Save a position that is not saved yet, `now` or when the last one was saved a while ago."""
        if position == self.saved or not self._cluster:
            return
        if not now and time.monotonic() - self._saved_at < SAVE_SECONDS:
            return
        crash_points.reach("before_position")
        query = SQL(
            "INSERT INTO {} (cluster_id, position) VALUES (%s, %s)"
            " ON CONFLICT (cluster_id) DO UPDATE SET position = excluded.position, updated_at = now()"
        ).format(self._table)
        await self._connection.execute(query, (self._cluster, position))
        self.saved, self._saved_at = position, time.monotonic()
