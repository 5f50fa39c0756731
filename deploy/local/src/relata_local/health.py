"""What `crm status` tells: per service its health and its report, and which of the servers are there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from relata_local.addresses import Addresses
from relata_local.api_client import Api
from relata_local.broker import speaks_kafka
from relata_local.errors import LocalError
from relata_local.ports import accepts
from relata_local.services import failed_checks

OK, NOT_READY, DEAD = "ok", "not ready", "dead"
_SERVICE_PREFIX = re.compile(r"\b[a-z0-9]+-service\.")
_SECONDS = 10.0  # for a service to answer; its own checks take up to 3 s


@dataclass(frozen=True)
class ServiceHealth:
    """Whether a service is there and ready, which of its checks fail, and its own report where it can give one.

    A lag in the report is None where it is not known, because the broker is gone.
    """

    state: str
    failing: tuple[str, ...] = ()
    error: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The state for people; a projection is named without its service, which they know."""
        failing = (_SERVICE_PREFIX.sub("", check) for check in self.failing)
        return f"{self.state}: {', '.join(failing)}" if self.failing else self.state

    def as_json(self) -> dict[str, Any]:
        problem = {"error": self.error} if self.error else {}
        return {"health": self.state, "failing": list(self.failing), **problem, **self.report}


@dataclass(frozen=True)
class StackHealth:
    """The health of every service, and of every server whose address is known."""

    services: Mapping[str, ServiceHealth]
    servers: Mapping[str, str]

    @property
    def complaint(self) -> str:
        """Everything that is not as it should be, in one line; empty when all is well."""
        dead = [name for name, state in self.servers.items() if state == DEAD]
        dead += [name for name, service in self.services.items() if service.state == DEAD]
        parts = [f"dead: {', '.join(dead)}"] if dead else []
        for name, service in self.services.items():
            if service.state == NOT_READY:
                parts.append(f"{name} is {service.text}")
            elif service.state == OK and service.error:
                parts.append(service.error)
        return "; ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return {
            "services": {name: service.as_json() for name, service in self.services.items()},
            "servers": {name: {"health": state} for name, state in self.servers.items()},
        }


def look(addresses: Addresses) -> StackHealth:
    """Ask every server and service that is known; none of them needs to be there."""
    servers = {name: OK if accepts(port) else DEAD for name, port in addresses.servers.items()}
    if addresses.kafka is not None:
        servers["kafka"] = OK if speaks_kafka(*_host_and_port(addresses.kafka)) else DEAD
    broker_gone = servers.get("kafka") == DEAD
    with Api(addresses.services, timeout=_SECONDS) as api:
        services = {name: _ask(api, name, broker_gone) for name in api.urls}
    return StackHealth(services, servers)


def _host_and_port(bootstrap: str) -> tuple[str, int]:
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    if not host or not port.isdecimal():
        raise LocalError(f"{bootstrap} is no broker's address: write --kafka host:9092")
    return host, int(port)


def _ask(api: Api, name: str, broker_gone: bool) -> ServiceHealth:
    try:
        failing = _failing_checks(api.urls[name])
    except httpx.TransportError as error:
        return ServiceHealth(DEAD, error=f"{type(error).__name__} at {api.urls[name]}")
    state = NOT_READY if failing else OK
    try:
        report: dict[str, Any] = api.get(name, "/v1/operations/status", patient=False)
    except LocalError as error:
        return ServiceHealth(state, failing, error.message)
    for projection in report.get("projections", []):
        # A projection notes its lag while it reads; what it noted last says nothing once it cannot read any more.
        if broker_gone or f"projection {projection['name']}" in failing:
            projection["lag"] = None
            for partition in projection["partitions"]:
                partition["lag"] = None
    return ServiceHealth(state, failing, report=report)


def _failing_checks(url: str) -> tuple[str, ...]:
    response = httpx.get(f"{url}/readyz", timeout=_SECONDS, trust_env=False)
    if response.status_code == httpx.codes.OK:
        return ()
    return failed_checks(response) or (f"HTTP {response.status_code}",)
