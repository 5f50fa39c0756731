"""The recorder: `eventsourcing`'s for PostgreSQL, with a lock that keeps the log in order, and binary arrays."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from eventsourcing.persistence import InterfaceError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import args_row, tuple_row
from psycopg.sql import SQL, Identifier
from psycopg.types.numeric import Int8

from crm_shared.settings import POSTGRES_LIVENESS

P = ParamSpec("P")
R = TypeVar("R")

# After this long a caller is told that the store cannot be reached; a store that only restarts is back by then.
PATIENCE_SECONDS = 3.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class LoggedEvent(StoredEvent):
    """A stored event with its position in the log; its fields are in the order of the queries' columns."""

    position: int


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A stream's state as of one of its events, which stands at `position` in the log; `layout` says how to read it."""

    originator_id: UUID
    originator_version: int
    layout: str
    state: bytes
    position: int


def _patiently(method: Callable[P, R]) -> Callable[P, R]:
    """Try again for a bounded time while the store cannot be reached.

    The library tries ten times, and each time waits for the pool: most of a minute while nothing answers.
    """

    @wraps(method)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return method(*args, **kwargs)
            except (InterfaceError, OperationalError):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    return tried


class OrderedRecorder(PostgresApplicationRecorder):
    """The library's recorder with an insert function of our own: it takes the table lock, and binary arrays.

    The library's function omits the lock: concurrent writers then commit out of order and a reader that tails the
    log misses events. With the lock the log is commit-ordered, at one round trip per save. The library passes rows
    as text, which costs three times the whole insert.
    """

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        # The pool doubles its pauses between attempts for five minutes: a store that is back would not be noticed.
        # Giving up after a second lets the next command try at once.
        datastore.pool.reconnect_timeout = 1.0
        assert isinstance(datastore.pool.kwargs, dict)
        datastore.pool.kwargs.update(POSTGRES_LIVENESS)
        schema, table = Identifier(datastore.schema), Identifier(self.events_table_name)
        function = Identifier("insert_events")
        self.sql_create_statements[self.create_insert_function_statement_index] = SQL(
            "CREATE OR REPLACE FUNCTION {schema}.{function}"
            "(ids uuid[], versions bigint[], topics text[], states bytea[]) "
            "RETURNS SETOF bigint LANGUAGE plpgsql AS $BODY$"
            "BEGIN"
            "    LOCK TABLE {schema}.{table} IN EXCLUSIVE MODE;"
            "    NOTIFY {channel};"
            "    RETURN QUERY"
            "    INSERT INTO {schema}.{table} AS t (originator_id, originator_version, topic, state)"
            "    SELECT * FROM unnest(ids, versions, topics, states) RETURNING notification_id;"
            "END;"
            "$BODY$"
        ).format(schema=schema, table=table, function=function, channel=Identifier(self.channel_name))
        self._insert = SQL("SELECT {schema}.{function}(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])").format(
            schema=schema, function=function
        )
        # The lateral query looks each stream up by the primary key. A plain join is planned for the array's length,
        # and then PostgreSQL prefers to sort the whole table.
        self._select_newer = SQL(
            "SELECT e.originator_id, e.originator_version, e.topic, e.state, e.notification_id"
            " FROM unnest(%b::uuid[], %b::bigint[]) AS held(id, version),"
            " LATERAL (SELECT * FROM {schema}.{table}"
            "  WHERE originator_id = held.id AND originator_version > held.version"
            "  ORDER BY originator_version OFFSET 0) AS e"
        ).format(schema=schema, table=table)
        self._select_last = SQL(
            "SELECT e.originator_id, e.originator_version, e.topic, e.state, e.notification_id"
            " FROM unnest(%b::uuid[]) AS wanted(id),"
            " LATERAL (SELECT * FROM {schema}.{table} WHERE originator_id = wanted.id"
            "  ORDER BY originator_version DESC LIMIT 1) AS e"
        ).format(schema=schema, table=table)
        snapshots = Identifier("snapshots")
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS {schema}.{snapshots} (originator_id uuid PRIMARY KEY,"
                " originator_version bigint NOT NULL, layout text NOT NULL, state bytea NOT NULL,"
                " position bigint NOT NULL)"
            ).format(schema=schema, snapshots=snapshots)
        )
        self._upsert_snapshot = SQL(
            "INSERT INTO {schema}.{snapshots} VALUES (%s, %s, %s, %s, %s) ON CONFLICT (originator_id) DO UPDATE"
            " SET originator_version = excluded.originator_version, layout = excluded.layout, state = excluded.state,"
            " position = excluded.position WHERE snapshots.originator_version < excluded.originator_version"
            " OR snapshots.layout <> excluded.layout"
        ).format(schema=schema, snapshots=snapshots)
        # As above, and for a stream of which nothing is held its snapshot first, with a negative position, and then
        # what came after it.
        self._select_latest = SQL(
            "SELECT e.* FROM unnest(%b::uuid[], %b::bigint[]) AS held(id, version)"
            " LEFT JOIN LATERAL (SELECT * FROM {schema}.{snapshots}"
            "  WHERE originator_id = held.id AND held.version = 0 OFFSET 0) AS snapshot ON true,"
            " LATERAL ("
            "  (SELECT held.id, snapshot.originator_version, snapshot.layout, snapshot.state, -snapshot.position"
            "   WHERE snapshot.originator_id IS NOT NULL)"
            "  UNION ALL"
            "  (SELECT originator_id, originator_version, topic, state, notification_id FROM {schema}.{table}"
            "   WHERE originator_id = held.id"
            "   AND originator_version > coalesce(snapshot.originator_version, held.version)"
            "   ORDER BY originator_version OFFSET 0)"
            " ) AS e"
        ).format(schema=schema, table=table, snapshots=snapshots)
        self._select_log = SQL(
            "SELECT originator_id, originator_version, topic, state, notification_id FROM {schema}.{table}"
            " WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        ).format(schema=schema, table=table)

    @_patiently
    def select_newer(self, versions: Mapping[UUID, int]) -> list[LoggedEvent]:
        """All events of these streams after the given versions, each stream in order, in one round trip."""
        row_factory = args_row(LoggedEvent)
        with (
            self.datastore.get_connection() as connection,
            connection.cursor(row_factory=row_factory, binary=True) as cursor,
        ):
            held = (list(versions), [Int8(version) for version in versions.values()])
            cursor.execute(self._select_newer, held, prepare=True)
            return cursor.fetchall()

    @_patiently
    def select_latest(self, versions: Mapping[UUID, int]) -> list[LoggedEvent | StoredSnapshot]:
        """The same, where a stream of which nothing is held (version 0) may begin with its snapshot."""
        with (
            self.datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            held = (list(versions), [Int8(version) for version in versions.values()])
            cursor.execute(self._select_latest, held, prepare=True)
            return [
                LoggedEvent(*row) if row[-1] > 0 else StoredSnapshot(row[0], row[1], row[2], row[3], -row[4])
                for row in cursor.fetchall()
            ]

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Store a stream's snapshot, unless there is a later one."""
        with self.datastore.get_connection() as connection:
            columns = (snapshot.originator_id, snapshot.originator_version, snapshot.layout, snapshot.state)
            connection.execute(self._upsert_snapshot, (*columns, snapshot.position))

    @_patiently
    def select_last(self, stream_ids: Sequence[UUID]) -> list[LoggedEvent]:
        """The last event of each of these streams, in one round trip."""
        row_factory = args_row(LoggedEvent)
        with (
            self.datastore.get_connection() as connection,
            connection.cursor(row_factory=row_factory, binary=True) as cursor,
        ):
            cursor.execute(self._select_last, (list(stream_ids),), prepare=True)
            return cursor.fetchall()

    @_patiently
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Store the events in one transaction; their log positions, in order."""
        columns = (
            [event.originator_id for event in stored_events],
            [Int8(event.originator_version) for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
        )
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(self._insert, columns, prepare=True)
            return [position for (position,) in cursor.fetchall()]

    @property
    def log_query(self) -> Any:
        """SQL that reads the log after a position (parameters: position, limit), for the relay's connection."""
        return self._select_log

    @property
    def max_position_query(self) -> Any:
        """SQL for the log's last position (null when empty)."""
        return self.max_notification_id_statement
