"""Runs Relata on one machine: the embedded servers, one process per service, and the command `crm`."""

from relata_local.errors import LocalError, PortTaken, StartFailed
from relata_local.ports import ServerPorts
from relata_local.servers import EmbeddedServers
from relata_local.services import ServiceProcess, StackPorts
from relata_local.stack import Stack

__all__ = [
    "EmbeddedServers",
    "LocalError",
    "PortTaken",
    "ServerPorts",
    "ServiceProcess",
    "Stack",
    "StackPorts",
    "StartFailed",
]
