"""Waiting until what the services stored has been published and applied to all views, with progress."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
from rich.progress import Progress

from relata_local.api_client import Api, ApiError
from relata_local.errors import LocalError

STALL_SECONDS = 120.0
# Asking costs the services work that they need for catching up: a tenth of the time is spent on it at most.
_LEAST_PAUSE_SECONDS = 0.5
_MOST_PAUSE_SECONDS = 5.0
# What a load changes and people then look at, with a query of each that waits for `?after=` over all customers.
_VIEWS = {"segmentation": "/v1/segments", "customer360": "/v1/customers"}

Status = Mapping[str, Mapping[str, Any]]


def operations(api: Api) -> dict[str, dict[str, Any]]:
    """What each service says of its log and its projections."""
    return {service: api.get(service, "/v1/operations/status") for service in api.urls}


def wait_until_applied(api: Api, progress: Progress) -> None:
    """Wait until all services have published their logs, the views have applied them, and nothing followed from that.

    A view says so itself, by answering a query with `?after=`: the lag of a projection is only what it last heard from
    the broker. Raises `LocalError` when nothing has moved for two minutes.
    """
    task = progress.add_task("Applied to the views", total=None)
    most, last, moved = 1, -1, time.monotonic()
    applied: dict[str, int] | None = None
    while True:
        asked = time.monotonic()
        status = operations(api)
        positions = last_positions(status)
        if positions == applied or not positions:
            progress.update(task, total=most, completed=most)
            return
        behind = distance(status)
        most = max(most, behind)
        progress.update(task, total=most, completed=most - behind)
        if behind != last:
            last, moved = behind, time.monotonic()
        if time.monotonic() - moved > STALL_SECONDS:
            raise LocalError(f"the views stopped catching up, {behind} events behind: see `crm status`")
        if unpublished(status):
            pause(asked)
        elif all(has_applied(api, view, positions, status) for view in _VIEWS):
            # What the views made of it, such as memberships, may have added to the logs meanwhile.
            applied = positions
        else:
            pause(time.monotonic())  # the view has waited for some seconds before it refused


def has_applied(api: Api, view: str, positions: Mapping[str, int], status: Status) -> bool:
    """Whether a service's views hold everything up to these positions; true for a service that is not there."""
    if view not in api.urls:
        return True
    sources = {topic.split(".")[1] for projection in status[view]["projections"] for topic in projection["topics"]}
    relevant = {source: position for source, position in positions.items() if source in sources}
    try:
        api.get(view, _VIEWS[view], {**after(relevant), "limit": 1}, patient=False)
    except ApiError as error:
        if error.status == httpx.codes.SERVICE_UNAVAILABLE:
            return False  # not yet
        raise
    return True


def pause(asked: float) -> None:
    """Sleep before asking again, the longer the more time has passed since it was asked last."""
    time.sleep(min(_MOST_PAUSE_SECONDS, max(_LEAST_PAUSE_SECONDS, 9 * (time.monotonic() - asked))))


def distance(status: Status) -> int:
    """About how many events are not yet published, or not yet applied: for people, who like to see it shrink."""
    unapplied = sum(projection["lag"] for report in status.values() for projection in report["projections"])
    return unpublished(status) + int(unapplied)


def unpublished(status: Status) -> int:
    """How many log positions are not yet published."""
    return sum(
        max(0, report["last_position"] - (report["published_position"] or 0))
        for report in status.values()
        if report["last_position"]
    )


def after(positions: Mapping[str, int]) -> dict[str, list[str]]:
    """The query parameter that makes a view wait until it has applied these positions."""
    return {"after": [f"{service}:{position}" for service, position in positions.items()]}


def last_positions(status: Status) -> dict[str, int]:
    """The last position of each log that holds anything."""
    return {service: report["last_position"] for service, report in status.items() if report["last_position"]}
