"""The fleet: the embedded servers and the services, with one service's roles as processes of their own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from crm_shared.observability.crash_points import VARIABLE, Point
from crm_shared.settings import Settings
from relata_local.broker import BrokerServer, KafkaBroker
from relata_local.ports import free_port
from relata_local.processes import start_all, stop_all
from relata_local.servers import EmbeddedServers
from relata_local.services import SERVICES, ServiceProcess

ROLES = {"customer360": ("api", "project")}
ALL_ROLES = ("api", "relay", "project")


class Process(ServiceProcess):
    """One process of a service: one role, or `run` for all; `dies_at` names a crash point for its next start."""

    def __init__(self, service: str, role: str, data: Path, environment: Callable[[], Mapping[str, str]]) -> None:
        super().__init__(f"{service}-{role}", free_port(), data, self._with_crash_point)
        self._base = environment
        self._module = f"{service}_service.main"
        self.service = service
        self.role = role
        self.dies_at: Point | None = None
        self.times = 1

    def _with_crash_point(self) -> Mapping[str, str]:
        return {**self._base(), **({VARIABLE: f"{self.dies_at}:{self.times}"} if self.dies_at else {})}

    def has_role(self, role: str) -> bool:
        return self.role in (role, "run")


class Fleet:
    """Servers and services, as a context manager; the services in `split` have a process for each role.

    with Fleet(tmp_path, split=["contacts"]) as fleet:
        fleet.process("contacts", "relay").kill()
    """

    def __init__(
        self,
        data: Path,
        *,
        split: Sequence[str] = (),
        services: Sequence[str] = SERVICES,
        environment: Mapping[str, str] | None = None,
        broker: Callable[[Path, int], KafkaBroker] = BrokerServer,
    ) -> None:
        self.servers = EmbeddedServers(data, broker=broker)
        self._extra = dict(environment or {})
        self.processes = [
            Process(service, role, self.servers.data.path, self.environment)
            for service in services
            for role in (ROLES.get(service, ALL_ROLES) if service in split else ("run",))
        ]

    def environment(self) -> dict[str, str]:
        return self.servers.environment() | self._extra

    def process(self, service: str, role: str = "run") -> Process:
        """The process that has this role of this service."""
        return next(one for one in self.processes if one.service == service and one.has_role(role))

    def url(self, service: str) -> str:
        """The base address of a service's API."""
        return self.process(service, "api").address

    def settings(self, service: str) -> Settings:
        """The settings of a service, as its processes have them."""
        environment = {name.lower(): value for name, value in self.environment().items()}
        return Settings(**environment)  # type: ignore[arg-type]  # the model parses the text of environment variables

    def start_missing(self, *, wait: bool = True) -> None:
        """Start every process that does not run, without crash points."""
        missing = [one for one in self.processes if not one.running]
        for one in missing:
            one.dies_at = None
        if wait:
            start_all(missing)
        else:
            for one in missing:
                one.launch()

    def __enter__(self) -> Self:
        self.servers.start(beside=self.processes)
        try:
            start_all(self.processes)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        stop_all(self.processes)
        self.servers.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
