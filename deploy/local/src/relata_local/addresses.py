"""Where the services and the broker are: as the user says, or as the running stack of a data folder tells."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relata_local.errors import LocalError
from relata_local.servers import DataFolder
from relata_local.stack import RUN_FILE


@dataclass(frozen=True)
class Addresses:
    """Base addresses of the services that are known, the broker's bootstrap address, and local servers' ports."""

    services: Mapping[str, str]
    kafka: str | None = None
    servers: Mapping[str, int] = field(default_factory=dict)

    def require(self, *names: str) -> dict[str, str]:
        """The addresses of these services. Raises `LocalError` for a service without a known address."""
        for name in names:
            if name not in self.services:
                raise LocalError(f"the address of {name} is not known: give --url {name}=http://...")
        return {name: self.services[name] for name in names}


def find_addresses(data: Path, urls: Mapping[str, str | None], kafka: str | None = None) -> Addresses:
    """Given addresses first, then those of the stack that runs on `data`.

    Raises `LocalError` when nothing is given and nothing runs.
    """
    given = {name: url.rstrip("/") for name, url in urls.items() if url}
    folder = DataFolder(data)
    if not folder.in_use:
        if given or kafka:
            return Addresses(given, kafka)
        raise LocalError(f"nothing runs on {folder.path}: start it with `crm up`, or give --data or --url")
    try:
        running = json.loads((folder.path / RUN_FILE).read_text())
    except (OSError, ValueError):
        raise LocalError(f"the stack on {folder.path} is still starting, or is stopping") from None
    return Addresses({**running["services"], **given}, kafka or running["kafka"], running["servers"])
