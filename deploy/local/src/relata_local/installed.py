"""Which services are installed beside us, found without importing any of them, and the port that each one gets.

A service is a distribution `<name>-service` whose command of the same name starts `<name>_service.main`: what every
service has, so that a further one need not be named anywhere.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from relata_local.errors import LocalError

FIRST_PORT = 8101
SERVERS_OFFSET = 10  # the embedded servers' ports follow the first service's at this distance
_SERVER_OFFSETS = frozenset(range(SERVERS_OFFSET, SERVERS_OFFSET + 3))
_COMMAND = re.compile(r"([a-z0-9]+)-service")


@dataclass(frozen=True)
class InstalledService:
    """A service by its short name, the port it has by default, and in a few words what it is for."""

    name: str
    port: int
    purpose: str


def installed_services() -> dict[str, InstalledService]:
    """Every service that is installed here, in the order of their ports.

    A service's port is the one that its own `main.py` names. A service that names the port of another service, or
    of a server, gets the first free port. Raises `LocalError` for a service that names no port.
    """
    services: dict[str, InstalledService] = {}
    for command in entry_points(group="console_scripts"):
        match = _COMMAND.fullmatch(command.name)
        if match is None or command.value != f"{match[1]}_service.main:main" or match[1] in services:
            continue
        package = find_spec(f"{match[1]}_service")
        if package is None or package.origin is None:
            continue  # what is left of a distribution whose folder has gone
        main = Path(package.origin).with_name("main.py")
        services[match[1]] = InstalledService(match[1], declared_port(main), _purpose(command))
    return {service.name: service for service in without_collisions(services.values())}


def declared_port(main: Path) -> int:
    """The number that a service's `main.py` gives as `port` of its definition; raises `LocalError` without one."""
    for node in ast.walk(ast.parse(main.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "port" and isinstance(node.value, ast.Constant):
            port = node.value.value
            if isinstance(port, int):
                return port
    raise LocalError(f"{main} names no port: write port=8106, or another number, into its definition")


def without_collisions(services: Iterable[InstalledService]) -> list[InstalledService]:
    """The services with a port each, ordered by it. Of two that declare the same port, the first by name keeps it."""
    taken: dict[int, InstalledService] = {}
    displaced: list[InstalledService] = []
    for service in sorted(services, key=lambda service: (service.port, service.name)):
        if service.port < FIRST_PORT or service.port in taken or _is_servers(service.port):
            displaced.append(service)
        else:
            taken[service.port] = service
    for service in displaced:
        port = FIRST_PORT
        while port in taken or _is_servers(port):
            port += 1
        taken[port] = replace(service, port=port)
    return [taken[port] for port in sorted(taken)]


def _is_servers(port: int) -> bool:
    return port - FIRST_PORT in _SERVER_OFFSETS


def _purpose(command: EntryPoint) -> str:
    return str(command.dist.metadata["Summary"] or "") if command.dist is not None else ""
