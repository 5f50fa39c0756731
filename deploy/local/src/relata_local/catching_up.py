"""Waiting until what the services stored has been published and applied to all views, with progress."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rich.progress import Progress

from relata_local.api_client import Api
from relata_local.errors import LocalError

STALL_SECONDS = 120.0
# Asking costs the services work that they need for catching up: a tenth of the time is spent on it at most.
_LEAST_PAUSE_SECONDS = 0.5
_MOST_PAUSE_SECONDS = 5.0
# A projection notes its lag about every 2 s, by what it last heard from the broker; right after a start it has heard
# nothing. Two notes of a projection, this far apart and both made after everything had been published, are certain.
_CERTAIN_AFTER = timedelta(seconds=1.5)

Status = Mapping[str, Mapping[str, Any]]
Notes = dict[tuple[str, str, int], datetime]


@dataclass
class _Settled:
    """Everything was published and nothing lagged, as of these positions and notes."""

    positions: dict[str, int]
    seen: Notes
    confirmed: Notes = field(default_factory=dict)

    def is_certain(self, noted: Notes) -> bool:
        """Take in the projections' newest notes; whether each has said it twice since."""
        for key, at in noted.items():
            if at != self.seen.get(key):
                self.confirmed.setdefault(key, at)
        return all(at - self.confirmed.get(key, at) >= _CERTAIN_AFTER for key, at in noted.items())


def operations(api: Api) -> dict[str, dict[str, Any]]:
    """What each service says of its log and its projections."""
    return {service: api.get(service, "/v1/operations/status") for service in api.urls}


def wait_until_applied(api: Api, progress: Progress) -> None:
    """Wait until all services have published their logs, all projections have applied them, and nothing follows.

    Raises `LocalError` when nothing has moved for two minutes.
    """
    asked = time.monotonic()
    status = operations(api)
    if not any(report["events_stored"] for report in status.values()):
        return
    task = progress.add_task("Applied to the views", total=None)
    last = most = distance(status)
    moved = time.monotonic()
    settled: _Settled | None = None
    while True:
        behind, positions, noted = distance(status), _last_positions(status), notes(status)
        if behind or not noted:
            settled = None
        elif settled is None or settled.positions != positions:
            settled = _Settled(positions, noted)
        elif settled.is_certain(noted):
            progress.update(task, total=max(1, most), completed=max(1, most))
            return
        most = max(most, behind)
        progress.update(task, total=max(1, most), completed=most - behind)
        if behind != last:
            last, moved = behind, time.monotonic()
        if time.monotonic() - moved > STALL_SECONDS:
            raise LocalError(f"the views stopped catching up, {behind} events behind: see `crm status`")
        pause(asked)
        asked = time.monotonic()
        status = operations(api)


def pause(asked: float) -> None:
    """Sleep before asking again, the longer the more time has passed since it was asked last."""
    time.sleep(min(_MOST_PAUSE_SECONDS, max(_LEAST_PAUSE_SECONDS, 9 * (time.monotonic() - asked))))


def distance(status: Status) -> int:
    """How many log positions are not yet published, and records not yet applied."""
    unpublished: int = sum(
        max(0, report["last_position"] - (report["published_position"] or 0))
        for report in status.values()
        if report["last_position"]
    )
    unapplied: int = sum(partition["lag"] for _, _, partition in _partitions(status))
    return unpublished + unapplied


def notes(status: Status) -> Notes:
    """When each partition of each projection was last noted; empty while one has not been noted at all."""
    for report in status.values():
        if any(not projection["partitions"] for projection in report["projections"]):
            return {}
    return {
        (service, projection, partition["partition"]): datetime.fromisoformat(partition["updated_at"])
        for service, projection, partition in _partitions(status)
    }


def after(positions: Mapping[str, int]) -> dict[str, list[str]]:
    """The query parameter that makes a view wait until it has applied these positions."""
    return {"after": [f"{service}:{position}" for service, position in positions.items()]}


def _last_positions(status: Status) -> dict[str, int]:
    return {service: report["last_position"] for service, report in status.items()}


def _partitions(status: Status) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [
        (service, projection["name"], partition)
        for service, report in status.items()
        for projection in report["projections"]
        for partition in projection["partitions"]
    ]
