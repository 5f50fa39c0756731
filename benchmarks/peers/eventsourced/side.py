"""The `eventsourcing` library as a side: its two programs on PostgreSQL alone."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
from psycopg import AsyncConnection

from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.eventsourced.purchases import environment
from benchmarks.peers.side import Program, Servers, Side, python
from benchmarks.peers.tables import Tables
from benchmarks.peers.views import View
from relata_local.processes import ManagedServer, start_all, stop_all

SCHEMA = "eventsourced"


class EventSourced(Side):
    """An API and a projection runner, each a process."""

    name = "eventsourcing"
    title = "eventsourcing as it comes (a save per request, its projection runner, no Kafka)"
    stall_seconds = 10.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._servers = Servers(folder, postgres=True)
        self._programs: list[Program] = []

    @property
    def url(self) -> str:
        return self._programs[0].address

    @property
    def processes(self) -> Sequence[ManagedServer]:
        return [*self._servers.all, *self._programs]

    @property
    def projector(self) -> ManagedServer:
        return self._programs[1]

    def start(self) -> None:
        self._servers.start()
        variables = environment(self._servers.postgres.environment())
        self._programs = [
            Program("api", self.folder, python("eventsourced.api"), variables, serves=True),
            Program("project", self.folder, python("eventsourced.project"), variables),
        ]
        try:
            with psycopg.connect(conninfo(variables), autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {SCHEMA}")
            # One after the other: both make the library's tables.
            for program in self._programs:
                start_all([program])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        stop_all(self._programs)
        self._servers.stop()

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        variables = self._servers.postgres.environment()
        async with await AsyncConnection.connect(conninfo(variables), autocommit=True) as connection:
            yield Tables(connection, f"{SCHEMA}.customers", f"{SCHEMA}.timeline")
