"""The committed JSON Schemas: one immutable file per public event and minor version."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

DIRECTORY = "schema_files"


class SchemaError(Exception):
    """The models and the committed schemas do not fit the contract."""


class SchemaKey(NamedTuple):
    """Which schema: the service, the event's name, and its version."""

    service: str
    name: str
    major: int
    minor: int

    @property
    def path(self) -> str:
        """Where the file lies within the folder of schemas."""
        return f"{self.service}/{self.name}/{self.major}.{self.minor}.json"

    @property
    def ce_type(self) -> str:
        """The CloudEvents type of the events that it describes."""
        return f"crm.{self.service}.{self.name}.v{self.major}"

    def __str__(self) -> str:
        return f"{self.service}.{self.name} {self.major}.{self.minor}"


def schema_text(service: str, name: str, version: str) -> bytes | None:
    """The committed schema file of an event, for example ("contacts", "CustomerIdentified", "1.0"); None if unknown."""
    return _served().get((service, name, version))


@cache
def _served() -> dict[tuple[str, str, str], bytes]:
    # A caller's text is looked up here and never becomes a path.
    return {(key.service, key.name, f"{key.major}.{key.minor}"): content for key, content in committed().items()}


def committed(root: Traversable | None = None) -> dict[SchemaKey, bytes]:
    """Every schema file, of all versions."""
    contents = {}
    base = root or files("crm_contracts").joinpath(DIRECTORY)
    for service in _folders(base):
        for name in _folders(service):
            for file in name.iterdir():
                if version := re.fullmatch(r"([0-9]+)\.([0-9]+)\.json", file.name):
                    key = SchemaKey(service.name, name.name, int(version[1]), int(version[2]))
                    contents[key] = file.read_bytes()
                else:
                    raise SchemaError(f"{service.name}/{name.name}/{file.name} is not named <major>.<minor>.json")
    return dict(sorted(contents.items()))


def _folders(folder: Traversable) -> Iterator[Traversable]:
    return (entry for entry in folder.iterdir() if entry.is_dir())
