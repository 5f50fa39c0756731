"""What a side is: the processes that take purchases and keep a view of customers, and how that view is looked at."""

import asyncio
import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

import psutil

from benchmarks.harness import ROOT
from relata_local.broker import BrokerServer
from relata_local.documents import DocumentServer
from relata_local.ports import HOST, accepts, free_port
from relata_local.postgres import PostgresServer
from relata_local.processes import ManagedServer, inherited_environment, start_all, stop_all

LOOK_SECONDS = 0.01


class View(ABC):
    """A side's view of customers, looked at from outside every 10 ms, the same way on every side.

    A purchase is visible from the first look that finds it applied: a delay is up to 10 ms longer than in truth.
    """

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            begin = time.monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - begin)))

    @abstractmethod
    async def look(self) -> None:
        """Note what has been applied since the last look, with the time."""

    @abstractmethod
    def visible_at(self, customer: str, position: int) -> float | None:
        """When a customer's purchase had first been found applied (monotonic seconds); None when it has not."""

    @abstractmethod
    async def applied(self) -> int:
        """How many different purchases the view holds."""

    @abstractmethod
    async def counts(self) -> Counter[str]:
        """How many purchases the view counts of each customer."""


class SeenSingly(View):
    """A view whose purchases are applied in no certain order: each is looked for by its own position.

    Looked for are the positions below the highest one found that have not been found, and the next ones.
    """

    AHEAD = 32

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._missing: set[int] = set()
        self._highest = 0
        self._started = False

    @abstractmethod
    async def highest(self) -> int:
        """The highest position that has been applied; 0 when nothing has."""

    @abstractmethod
    async def found(self, positions: Sequence[int]) -> Sequence[int]:
        """Those of the positions that have been applied."""

    async def look(self) -> None:
        if not self._started:
            self._highest = await self.highest()
            self._started = True
        while True:
            ahead = range(self._highest + 1, self._highest + 1 + self.AHEAD)
            found = await self.found([*self._missing, *ahead])
            now = time.monotonic()
            self._seen.update(dict.fromkeys(found, now))
            highest = max(found, default=self._highest)
            self._missing = (self._missing | set(range(self._highest + 1, highest + 1))) - set(found)
            self._highest = max(self._highest, highest)
            if highest not in ahead[-1:]:
                return

    def visible_at(self, customer: str, position: int) -> float | None:
        return self._seen.get(position)


class Side(ABC):
    """One way to build it. `start` and `stop` begin and end all its processes, on data of its own under `folder`."""

    name: ClassVar[str]
    title: ClassVar[str]
    kills_projector: ClassVar[bool] = True
    kills_relay: ClassVar[bool] = False
    # When its view has not moved for so long, what is missing is lost: a consumer group can take 20 s to form again.
    stall_seconds: ClassVar[float] = 40.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it takes `POST /v1/purchases`."""

    @property
    @abstractmethod
    def processes(self) -> Sequence[ManagedServer]:
        """Every process of it, its servers included."""

    @property
    @abstractmethod
    def projector(self) -> ManagedServer:
        """The process that keeps the view."""

    @abstractmethod
    def start(self) -> None:
        """Start everything and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everything."""

    @abstractmethod
    def view(self) -> AbstractAsyncContextManager[View]:
        """A fresh look at the view, with connections of its own."""

    def relay_alone(self) -> ManagedServer:
        """The process that publishes, and does nothing else from now on; only where `kills_relay`."""
        raise NotImplementedError(f"{self.name} has no relay")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It runs inside the block."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def processor_seconds(self) -> float:
        """What all its processes, with their children, have used so far."""
        return sum(_used(psutil.Process(process.pid)) for process in self.processes)


def _used(process: psutil.Process) -> float:
    # With the children that have ended: the database has one for each connection.
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


class Program(ManagedServer):
    """A program of a side, in a process of its own."""

    def __init__(
        self,
        name: str,
        data: Path,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        serves: bool = False,
    ) -> None:
        """`command` gets the port as its last argument when it `serves`."""
        super().__init__(name, free_port() if serves else 0, data)
        self._command = [*command, *([str(self.port)] if serves else [])]
        self._environment = environment

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def launch(self) -> None:
        inherited = inherited_environment("KAFKA_", "MONGODB_", "POSTGRES_", "PG")
        self._spawn(self._command, env={**inherited, **self._environment}, cwd=ROOT)

    def answers(self) -> bool:
        return accepts(self.port) if self.port else self.running


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"benchmarks.peers.{module}", *arguments]


class Servers:
    """Those of the embedded servers that a side uses."""

    def __init__(self, folder: Path, *, postgres: bool = False, broker: bool = False, documents: bool = False) -> None:
        self.postgres = PostgresServer(folder, free_port())
        self.broker = BrokerServer(folder, free_port())
        self.documents = DocumentServer(folder, free_port())
        wanted = ((self.broker, broker), (self.documents, documents), (self.postgres, postgres))
        self.all: list[ManagedServer] = [server for server, used in wanted if used]

    def start(self) -> None:
        start_all(self.all)

    def stop(self) -> None:
        stop_all(self.all)


@contextlib.asynccontextmanager
async def watching(view: View) -> AsyncIterator[None]:
    """The view is looked at inside the block."""
    task = asyncio.create_task(view.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
