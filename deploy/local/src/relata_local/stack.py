"""The whole of Relata on one machine: the embedded servers and one process per service."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from relata_local.broker import BrokerFactory, BrokerServer
from relata_local.processes import ManagedServer, start_all, stop_all
from relata_local.servers import EmbeddedServers
from relata_local.services import SERVICES, ServiceProcess, StackPorts, service_ports

RUN_FILE = "run.json"


class Stack:
    """The embedded servers and the services, as a context manager.

        with Stack(tmp_path) as stack:  # on free ports
            httpx.get(stack.url("contacts") + "/readyz")
            stack.services["contacts"].restart()
            stack.servers.broker.restart()

    While it runs, a file in the data folder tells other commands where everything is.
    """

    def __init__(
        self,
        data: Path | str,
        ports: StackPorts | None = None,
        *,
        services: Sequence[str] = SERVICES,
        environment: Mapping[str, str] | None = None,
        cache_size: str = "256M",
        broker: BrokerFactory = BrokerServer,
    ) -> None:
        """Prepare a stack of these services, with its data under `data`.

        `environment` is added to that of every service; `broker` makes another broker than the embedded one.
        """
        wanted = ports or StackPorts()
        self._extra = dict(environment or {})
        self.servers = EmbeddedServers(data, wanted.servers, cache_size=cache_size, broker=broker)
        self.data = self.servers.data.path
        self.services = {
            name: ServiceProcess(name, port, self.data, self.environment)
            for name, port in service_ports(wanted, services).items()
        }

    @property
    def all(self) -> list[ManagedServer]:
        """Every server and service, in the order in which people read them."""
        servers: list[ManagedServer] = [self.servers.postgres, self.servers.broker, self.servers.documents]
        return [*servers, *self.services.values()]

    def url(self, service: str) -> str:
        """The base address of a service's API."""
        return self.services[service].address

    @property
    def urls(self) -> dict[str, str]:
        return {name: service.address for name, service in self.services.items()}

    def environment(self) -> dict[str, str]:
        """The variables that every service is started with, besides its own port."""
        return self.servers.environment() | self._extra

    def start(
        self,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_change: Callable[[], None] = lambda: None,
        on_ready: Callable[[ManagedServer], None] = lambda server: None,
    ) -> None:
        """Start the servers, then the services, and wait until all are ready.

        All ports are checked before anything starts. When a process cannot start, all are stopped, and
        `StartFailed` holds the end of its log.
        """
        services = list(self.services.values())
        for service in services:
            service.require_installed()
        self.servers.start(beside=services, cancelled=cancelled, on_change=on_change, on_ready=on_ready)
        try:
            start_all(services, cancelled=cancelled, on_change=on_change, on_ready=on_ready)
            self._write_run_file()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the services, then the servers; doing it again changes nothing."""
        stop_all(list(self.services.values()))
        if self.servers.data.held:
            (self.data / RUN_FILE).unlink(missing_ok=True)
        self.servers.stop()

    def kill(self) -> None:
        """Kill everything at once, as a crash would."""
        for server in reversed(self.all):
            server.kill()
        self.servers.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_run_file(self) -> None:
        draft = self.data / f"{RUN_FILE}.draft"
        run_state: dict[str, Any] = {
            "pid": os.getpid(),
            "services": self.urls,
            "kafka": self.servers.kafka_bootstrap,
            "mongodb": self.servers.mongodb_uri,
            "postgres": self.servers.postgres.address,
            "servers": {server.name: server.port for server in self.servers.all},
        }
        draft.write_text(json.dumps(run_state, indent=2) + "\n")
        draft.replace(self.data / RUN_FILE)
