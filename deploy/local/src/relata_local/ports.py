"""Loopback ports: which are free, and which server gets which."""

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relata_local.errors import LocalError, PortTaken

HOST = "127.0.0.1"

# Clients that retry a closed port in the kernel's ephemeral range can connect to themselves there and keep the port,
# so that a server cannot come back on it. Free ports are therefore taken from below that range.
_LOWEST_FREE = 15000
_DEFAULT_EPHEMERAL = 32768

_given: set[int] = set()  # by this process, so that two servers that have not started yet never get the same port


@dataclass(frozen=True)
class ServerPorts:
    """The ports of the three embedded servers; 0 means a free one."""

    postgres: int = 0
    kafka: int = 0
    mongodb: int = 0


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether something listens on this loopback port now."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A loopback port that nothing uses, outside the range from which the kernel serves clients."""
    highest = max(_LOWEST_FREE + 1000, min(_ephemeral_start(), 65536)) - 1
    for _ in range(1000):
        port = random.randint(_LOWEST_FREE, highest)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise LocalError(f"no free port between {_LOWEST_FREE} and {highest}")


def require_free(ports: Mapping[str, int]) -> None:
    """Raise `PortTaken` for the first named port that is in use, or that two names share."""
    owners: dict[int, str] = {}
    for name, port in ports.items():
        if port in owners:
            raise LocalError(f"{owners[port]} and {name} cannot both have port {port}")
        owners[port] = name
        if not is_free(port):
            raise PortTaken(port, name)


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _DEFAULT_EPHEMERAL
