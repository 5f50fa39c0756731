"""Emmett as a side: its two programs in Node on PostgreSQL alone, where Node and the packages are to be had."""

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from psycopg import AsyncConnection

from benchmarks.harness import ROOT
from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.side import Program, Servers, Side
from benchmarks.peers.tables import Tables
from benchmarks.peers.views import View
from relata_local.processes import ManagedServer, start_all, stop_all

SOURCES = Path(__file__).parent
# Ignored by git, as everything is that a run leaves behind.
INSTALLED = ROOT / ".data" / "peers-emmett"
INSTALL_SECONDS = 300


class Emmett(Side):
    """An API and a consumer, each a process."""

    name = "emmett"
    title = "Emmett on PostgreSQL (Node, asynchronous projection, no Kafka)"
    stall_seconds = 5.0  # it looks once a second at least

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._servers = Servers(folder, postgres=True)
        self._programs: list[Program] = []

    @classmethod
    def missing(cls) -> str:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            return "Node is not installed"
        try:
            _install(npm)
        except (OSError, subprocess.SubprocessError) as error:
            return f"its packages could not be installed: {error}"
        return ""

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
        postgres = self._servers.postgres.environment()
        credentials = f"{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
        address = f"{postgres['POSTGRES_HOST']}:{postgres['POSTGRES_PORT']}/{postgres['POSTGRES_DBNAME']}"
        variables = {"POSTGRES_URL": f"postgresql://{credentials}@{address}", "NODE_ENV": "production"}
        self._programs = [
            Program("api", self.folder, ["node", INSTALLED / "api.mjs"], variables, serves=True),
            Program("project", self.folder, ["node", INSTALLED / "project.mjs"], variables),
        ]
        try:
            # One after the other: the API makes the tables of the event store.
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
            yield Tables(connection, "customers", "timeline")


def _install(npm: str) -> None:
    """Put programs and packages beside each other, where Node looks for them; the packages only when they changed."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    wanted, present = SOURCES / "package.json", INSTALLED / "package.json"
    if not present.exists() or present.read_bytes() != wanted.read_bytes():
        shutil.copy(wanted, INSTALLED)
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--omit=dev"]
        try:
            subprocess.run(command, cwd=INSTALLED, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except BaseException:
            present.unlink()
            raise
    for program in SOURCES.glob("*.mjs"):
        shutil.copy(program, INSTALLED)
