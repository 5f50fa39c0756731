"""What a side is: the processes that take purchases and keep a view of customers, and how that view is looked at."""

import asyncio
import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

import psutil

from benchmarks.harness import ROOT
from benchmarks.peers.views import View
from crm_shared.settings import Settings
from relata_local.broker import BrokerServer
from relata_local.documents import DocumentServer
from relata_local.ports import HOST, accepts, free_port
from relata_local.postgres import PostgresServer
from relata_local.processes import ManagedServer, inherited_environment, start_all, stop_all


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

    @classmethod
    def missing(cls) -> str:
        """What it would need and this machine does not have; empty when it can run."""
        return ""

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

    def take_only(self) -> None:
        """From now on only take purchases: publish nothing, and let the views stand still."""
        self.projector.stop()

    def publish_again(self) -> None:  # noqa: B027 - some publish nothing
        """Publish what was taken, too, where anything is published; the view stands still."""

    def project_again(self) -> None:
        """Do everything again."""
        self.projector.start()

    def relay_alone(self) -> ManagedServer:
        """The process that publishes, and does nothing else from now on; only where `kills_relay`."""
        raise NotImplementedError(f"{self.name} has no relay")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs inside the block."""
        await asyncio.to_thread(self.start)
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)

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

    def environment(self) -> dict[str, str]:
        """All variables that point a program at them, once they run."""
        return {**self.postgres.environment(), **self.broker.environment(), **self.documents.environment()}

    def start(self) -> None:
        start_all(self.all)

    def stop(self) -> None:
        stop_all(self.all)


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The same as our services' settings."""
    return Settings.model_validate({name.lower(): value for name, value in environment.items()})
