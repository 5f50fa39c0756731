"""The services as processes: which port each gets, how one is started and known to be ready."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx

from relata_local.errors import LocalError
from relata_local.installed import FIRST_PORT, SERVERS_OFFSET, installed_services
from relata_local.ports import HOST, ServerPorts, free_port
from relata_local.processes import ManagedServer, inherited_environment

# What the local stack, the tests and the benchmarks go by: whatever is installed, in the order of the ports.
INSTALLED = installed_services()
SERVICES = tuple(INSTALLED)
SERVERS = ("postgres", "kafka", "mongodb")


@dataclass(frozen=True)
class StackPorts:
    """The ports of the services, by name, and of the embedded servers; 0 means a free one."""

    services: Mapping[str, int] = field(default_factory=dict)
    servers: ServerPorts = field(default_factory=ServerPorts)

    @classmethod
    def from_base(cls, base: int = FIRST_PORT, chosen: Mapping[str, int] | None = None) -> Self:
        """As far from `base` as usual from 8101, except the chosen ones: the servers' ports begin at `base` + 10."""
        ports = {name: base + service.port - FIRST_PORT for name, service in INSTALLED.items()}
        ports |= {name: base + SERVERS_OFFSET + number for number, name in enumerate(SERVERS)}
        for name, port in (chosen or {}).items():
            if name not in ports:
                raise LocalError(f"{name} is not a service or server: choose from {', '.join(ports)}")
            ports[name] = port
        for name, port in ports.items():
            if not 0 <= port <= 65535:
                raise LocalError(f"{port} is not a port ({name})")
        return cls({name: ports[name] for name in SERVICES}, ServerPorts(*(ports[name] for name in SERVERS)))


class ServiceProcess(ManagedServer):
    """One service, by default with all its roles in one process, with its logs as JSON in a file."""

    stop_seconds = 20.0
    start_seconds = 120.0  # on a small machine five of them start at once and each forms a consumer group

    def __init__(self, name: str, port: int, data: Path, environment: Callable[[], Mapping[str, str]]) -> None:
        """`environment` is asked at each start, because it holds what only running servers know."""
        super().__init__(name, port, data)
        self._data = data
        self._module = f"{name}_service.main"
        self._environment = environment
        self._next_look = 0.0
        self.role = "run"

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def require_installed(self) -> None:
        """Raise `LocalError` when the service's distribution is not installed beside us."""
        if find_spec(f"{self.name}_service") is None:
            message = f"{self.name}-service is not installed here: pip install -e services/{self.name}-service"
            raise LocalError(message)

    def launch(self) -> None:
        self.waits_for = ""
        defaults = {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
        address = {"HTTP_HOST": HOST, "HTTP_PORT": str(self.port)}
        # The settings below are ours to give; a setting meant for another process would send a service elsewhere.
        inherited = inherited_environment("HTTP_HOST", "HTTP_PORT", "KAFKA_", "MONGODB_", "POSTGRES_", "PG")
        self._spawn(
            [sys.executable, "-m", self._module, self.role],
            env={**defaults, **inherited, **self._environment(), **address},
            cwd=self._data,
        )

    def answers(self) -> bool:
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + 0.2
        try:
            response = httpx.get(f"{self.address}/readyz", timeout=5)
        except httpx.HTTPError:
            return False
        if response.status_code == httpx.codes.OK:
            self.waits_for = ""
            return True
        self.waits_for = ", ".join(failed_checks(response))
        return False


def failed_checks(response: httpx.Response) -> tuple[str, ...]:
    """The names of the checks that failed, from the answer of /readyz."""
    try:
        body: Any = response.json()
    except ValueError:
        return ()
    checks = body.get("checks", []) if isinstance(body, dict) else []
    return tuple(str(check.get("check")) for check in checks if not check.get("ok"))


def service_ports(ports: StackPorts, services: Sequence[str]) -> dict[str, int]:
    """The port of each of these services, with free ones where none was chosen."""
    return {name: ports.services.get(name, 0) or free_port() for name in services}
