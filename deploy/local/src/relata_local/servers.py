"""The three embedded servers together, with their data under one folder that one process at a time may use."""

import atexit
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from relata_local.broker import BrokerFactory, BrokerServer
from relata_local.documents import DocumentServer
from relata_local.errors import LocalError
from relata_local.ports import ServerPorts, free_port, require_free
from relata_local.postgres import PostgresServer
from relata_local.processes import ManagedServer, end_leftovers, start_all, stop_all


class DataFolder:
    """A folder that one running stack owns, by a lock that the kernel drops when its process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    def acquire(self) -> None:
        """Make the folder and take it. Raises `LocalError` when another process has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LocalError(f"cannot use {self.path} as data folder: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise LocalError(f"another `crm up` already runs on {self.path}: see `crm status`, or use --data") from None
        self._lock = lock

    def release(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether we have taken the folder."""
        return self._lock is not None

    @property
    def in_use(self) -> bool:
        """Whether any process has taken the folder."""
        try:
            lock = os.open(self.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False


class EmbeddedServers:
    """PostgreSQL, the broker and the document store on loopback ports, as a context manager.

        with EmbeddedServers(tmp_path) as servers:
            environment = servers.environment()
            servers.broker.restart()  # comes back empty, as another cluster

    Each of `postgres`, `broker` and `documents` can be stopped, killed, started and restarted alone.
    """

    def __init__(
        self,
        data: Path | str,
        ports: ServerPorts | None = None,
        *,
        cache_size: str = "256M",
        broker: BrokerFactory = BrokerServer,
    ) -> None:
        """Prepare servers with their data under `data`; a port of 0, the default, means a free one.

        `broker` makes another broker than the embedded broker, from the data folder and its port.
        """
        self.data = DataFolder(Path(data))
        wanted = ports or ServerPorts()
        self.postgres = PostgresServer(self.data.path, wanted.postgres or free_port())
        self.broker = broker(self.data.path, wanted.kafka or free_port())
        self.documents = DocumentServer(self.data.path, wanted.mongodb or free_port(), cache_size)

    @property
    def all(self) -> list[ManagedServer]:
        """The three servers; the one that takes longest to prepare comes last, so that the others start meanwhile."""
        return [self.broker, self.documents, self.postgres]

    @property
    def kafka_bootstrap(self) -> str:
        return self.broker.address

    @property
    def mongodb_uri(self) -> str:
        return self.documents.address

    def postgres_env(self) -> dict[str, str]:
        """The POSTGRES_* variables of a service."""
        return self.postgres.environment()

    def environment(self) -> dict[str, str]:
        """All variables that point a service at these servers."""
        return self.postgres.environment() | self.broker.environment() | self.documents.environment()

    def start(
        self,
        *,
        beside: Sequence[ManagedServer] = (),
        cancelled: Callable[[], bool] = lambda: False,
        on_change: Callable[[], None] = lambda: None,
        on_ready: Callable[[ManagedServer], None] = lambda server: None,
    ) -> None:
        """Take the data folder, check the ports, start all three and wait until they answer.

        `beside` are servers that will start later on the same data: their ports must be free too. Raises
        `LocalError` (the folder is in use), `PortTaken` or `StartFailed`; nothing is left running then.
        """
        self.data.acquire()
        try:
            servers = [*beside, *self.all]
            end_leftovers(servers)
            require_free({server.name: server.port for server in servers})
            start_all(self.all, cancelled=cancelled, on_change=on_change, on_ready=on_ready)
        except BaseException:
            self.data.release()
            raise
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop all three in order and release the data folder; doing it again changes nothing."""
        stop_all(self.all)
        self.data.release()
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
