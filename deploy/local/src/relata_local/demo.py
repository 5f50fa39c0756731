"""The demonstration: real purchases by way of real events become customer views and segment memberships."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from relata_local.api_client import Api
from relata_local.catching_up import STALL_SECONDS, pause, wait_until_applied
from relata_local.cdnow import History, Purchase, Totals, revenue_of
from relata_local.customer_page import fetch, page
from relata_local.errors import LocalError
from relata_local.loading import Load, load
from relata_local.tables import Column, FittingTable

_LAPSED = datetime(1998, 1, 1, tzinfo=UTC)
_TIMELINE_ENTRIES = 8


@dataclass(frozen=True)
class DemoSegment:
    """A segment, and the same rule in plain Python over a customer's rows in the file."""

    key: str
    name: str
    description: str
    condition: Mapping[str, Any]
    rule: Callable[[list[Purchase]], bool]

    def definition(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "condition": self.condition}


SEGMENTS = (
    DemoSegment(
        "repeat-buyers",
        "Repeat buyers",
        "Bought at least twice",
        {"field": "purchases.count", "op": "gte", "value": 2},
        lambda purchases: len(purchases) >= 2,
    ),
    DemoSegment(
        "big-spenders",
        "Big spenders",
        "Spent 500 dollars or more in all",
        {"field": "purchases.revenue.USD", "op": "gte", "value": "500"},
        lambda purchases: revenue_of(purchases) >= Decimal(500),
    ),
    DemoSegment(
        "lapsed",
        "Lapsed before 1998",
        "Last bought before 1998",
        {"field": "purchases.last_at", "op": "before", "value": "1998-01-01T00:00:00Z"},
        lambda purchases: max(purchase.day for purchase in purchases) < _LAPSED,
    ),
    DemoSegment(
        "one-time-buyers",
        "One-time buyers",
        "Bought exactly once",
        {"field": "purchases.count", "op": "eq", "value": 1},
        lambda purchases: len(purchases) == 1,
    ),
)

SURVEY_KEY = "recommendation"
# Published and left without answers: the data has none, and made-up answers would be taken for real.
SURVEY = {
    "title": "Would you recommend us?",
    "questions": [
        {
            "key": "recommend",
            "kind": "nps",
            "prompt": "How likely are you to recommend us to a friend or colleague?",
            "required": True,
        }
    ],
}


@dataclass
class Demonstration:
    """What the demonstration found."""

    loaded: Load
    segments: dict[str, dict[str, Any]]
    customer: dict[str, Any]
    seconds: float
    urls: Mapping[str, str]

    @property
    def agrees(self) -> bool:
        """Whether totals and segment sizes are those of the file. With other data beside it, only the totals count."""
        sizes = all(segment["members"] == segment["in_file"] for segment in self.segments.values())
        return self.loaded.agrees and (sizes or self.loaded.besides != Totals())

    def as_json(self) -> dict[str, Any]:
        return {
            "agrees": self.agrees,
            "load": self.loaded.as_json(),
            "segments": self.segments,
            "customer": self.customer,
            "seconds": round(self.seconds, 3),
            "urls": dict(self.urls),
        }


def demonstrate(api: Api, history: History, progress: Progress) -> Demonstration:
    """Load, define the segments, publish the survey, wait, and read the results. A second run adds nothing."""
    started = time.monotonic()
    loaded = load(api, history, progress)
    versions = {
        segment.key: int(api.put("segmentation", f"/v1/segments/{segment.key}", segment.definition())["version"])
        for segment in SEGMENTS
    }
    api.put("feedback", f"/v1/surveys/{SURVEY_KEY}", SURVEY)
    _wait_until_evaluated(api, progress, versions)
    wait_until_applied(api, progress)
    sizes = {key: api.get("segmentation", f"/v1/segments/{key}")["members"] for key in versions}
    best = history.best_customer()
    if best not in loaded.customer_ids:
        raise LocalError(f"customer {best} was rejected: {loaded.rejected[:1]}")
    segments = {
        segment.key: {
            "name": segment.name,
            "members": sizes[segment.key],
            "in_file": sum(segment.rule(purchases) for purchases in history.by_customer.values()),
        }
        for segment in SEGMENTS
    }
    customer = fetch(api, loaded.customer_ids[best], _TIMELINE_ENTRIES)
    return Demonstration(loaded, segments, customer, time.monotonic() - started, api.urls)


def show(found: Demonstration, console: Console) -> None:
    """The totals, the segments, one customer, and whether they agree with the file."""
    show_load(found.loaded, console)
    columns = [Column("segment"), Column("members", justify="right"), Column("in the file", justify="right")]
    table = FittingTable("Segments", columns)
    for segment in found.segments.values():
        table.add(segment["name"], f"{segment['members']:,}", f"{segment['in_file']:,}")
    console.print(table)
    console.print(page(found.customer))


def show_load(loaded: Load, console: Console) -> None:
    """The totals of the file beside those of the views, and what was rejected."""
    columns = {"in the file": loaded.file, "created now": loaded.created, "there already": loaded.present}
    if loaded.besides != Totals():
        columns["besides the file"] = loaded.besides
    columns["customer 360"] = loaded.views
    ranks = {"there already": 2, "created now": 1}
    counted = (Column(title, rank=ranks.get(title, 0), justify="right") for title in columns)
    table = FittingTable("CDNOW", [Column(""), *counted])
    table.add("customers", *(f"{totals.customers:,}" for totals in columns.values()))
    table.add("purchases", *(f"{totals.purchases:,}" for totals in columns.values()))
    table.add("revenue, USD", *(f"{totals.revenue:,}" for totals in columns.values()))
    console.print(table)
    for rejected in loaded.rejected[:10]:
        console.print(Text(f"rejected: {rejected}", "red"), soft_wrap=True)
    verdict = Text("The views hold what the file holds.", "green")
    if not loaded.agrees:
        verdict = Text(f"The views differ from the file; {len(loaded.rejected)} rows were rejected.", "bold red")
    console.print(verdict)
    seconds = f"Imported in {loaded.import_seconds:.1f} s, in the views after {loaded.applied_seconds:.1f} s."
    console.print(Text(seconds, "dim"))


def _wait_until_evaluated(api: Api, progress: Progress, versions: Mapping[str, int]) -> None:
    """Wait until all customers have been evaluated against these versions of the segments."""
    task = progress.add_task("Segments evaluated", total=None)
    last, moved = -1, time.monotonic()
    while True:
        asked = time.monotonic()
        listed = api.get("segmentation", "/v1/segments", {"limit": 500})["items"]
        segments = [segment for segment in listed if segment["version"] == versions.get(segment["key"])]
        done = sum(segment["evaluated"]["done"] for segment in segments)
        total = sum(segment["evaluated"]["total"] for segment in segments)
        if len(segments) == len(versions) and all(segment["status"] == "ready" for segment in segments):
            progress.update(task, total=max(1, total), completed=max(1, total))
            return
        progress.update(task, total=max(1, total), completed=done)
        if done != last:
            last, moved = done, time.monotonic()
        elif time.monotonic() - moved > STALL_SECONDS:
            raise LocalError(f"segments stopped being evaluated at {done} of {total}: see `crm status`")
        pause(asked)
