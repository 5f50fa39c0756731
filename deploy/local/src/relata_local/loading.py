"""Loads CDNOW by the public API as an integrator would, and proves that the views hold what the file says."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from rich.progress import Progress

from relata_local.api_client import Api
from relata_local.catching_up import after, wait_until_applied
from relata_local.cdnow import CURRENCY, History, Purchase, Totals, ndjson, revenue_of
from relata_local.errors import LocalError

LINES_PER_REQUEST = 2000

Item = TypeVar("Item")


@dataclass
class Load:
    """What a load did, and what the views hold after it."""

    file: Totals
    created: Totals = field(default_factory=Totals)
    present: Totals = field(default_factory=Totals)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    besides: Totals = field(default_factory=Totals)  # what the views held before that is not from the file
    views: Totals = field(default_factory=Totals)
    positions: dict[str, int] = field(default_factory=dict)
    import_seconds: float = 0.0
    applied_seconds: float = 0.0
    customer_ids: dict[str, str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the views hold what the file holds, and besides that exactly what they held before."""
        lost = self.besides.customers < 0 or self.besides.purchases < 0 or self.besides.revenue < 0
        return not self.rejected and not lost and self.views == self.file + self.besides

    def as_json(self) -> dict[str, Any]:
        return {
            "agrees": self.agrees,
            "file": self.file.as_json(),
            "views": self.views.as_json(),
            "besides": self.besides.as_json(),
            "created": self.created.as_json(),
            "present": self.present.as_json(),
            "rejected": self.rejected,
            "positions": self.positions,
            "import_seconds": round(self.import_seconds, 3),
            "applied_seconds": round(self.applied_seconds, 3),
        }


def load(api: Api, history: History, progress: Progress) -> Load:
    """Identify the customers, record their purchases, wait for the views, and compare.

    Doing it again creates nothing. Other data may be there: what the views held before, less what the services say
    they already had from this file, must still be there afterwards beside the file's own totals.
    """
    outcome = Load(file=history.totals)
    wait_until_applied(api, progress)
    before = held_by_views(api, {})
    started = time.monotonic()
    _identify(api, history, progress, outcome)
    _record(api, history, progress, outcome)
    outcome.import_seconds = time.monotonic() - started
    wait_until_applied(api, progress)
    outcome.views = held_by_views(api, outcome.positions)
    outcome.applied_seconds = time.monotonic() - started
    outcome.besides = before - outcome.present
    return outcome


def held_by_views(api: Api, positions: dict[str, int]) -> Totals:
    """The totals that customer360 shows, once it has applied these positions."""
    kpis = api.get("customer360", "/v1/kpis", after(positions))
    revenue = Decimal(kpis["revenue"].get(CURRENCY, "0"))
    return Totals(kpis["customers"], kpis["purchases"], revenue)


def _identify(api: Api, history: History, progress: Progress, outcome: Load) -> None:
    customers = sorted(history.by_customer)
    task = progress.add_task("Customers identified", total=len(customers))
    for chunk in _chunks(iter(customers)):
        body = ndjson(history.identification(customer) for customer in chunk)
        answers = _answers(api.import_lines("contacts", "/v1/customers/import", body), len(chunk), "contacts")
        created = 0
        for customer, answer in zip(chunk, answers, strict=True):
            if "error" in answer:
                outcome.rejected.append({"customer": customer, **answer["error"]})
                continue
            outcome.customer_ids[customer] = answer["customer_id"]
            created += bool(answer["created"])
            _note_position(outcome, "contacts", answer)
        identified = sum(customer in outcome.customer_ids for customer in chunk)
        outcome.created += Totals(customers=created)
        outcome.present += Totals(customers=identified - created)
        progress.advance(task, len(chunk))


def _record(api: Api, history: History, progress: Progress, outcome: Load) -> None:
    task = progress.add_task("Purchases recorded", total=len(history.purchases))
    identified = (purchase for purchase in history.purchases if purchase.customer in outcome.customer_ids)
    for chunk in _chunks(identified):
        body = ndjson(purchase.command(outcome.customer_ids[purchase.customer]) for purchase in chunk)
        answers = _answers(api.import_lines("interactions", "/v1/purchases/import", body), len(chunk), "interactions")
        created: list[Purchase] = []
        present: list[Purchase] = []
        for purchase, answer in zip(chunk, answers, strict=True):
            if "error" in answer:
                outcome.rejected.append({"order_id": purchase.order_id, **answer["error"]})
                continue
            (created if answer["created"] else present).append(purchase)
            _note_position(outcome, "interactions", answer)
        outcome.created += Totals(purchases=len(created), revenue=revenue_of(created))
        outcome.present += Totals(purchases=len(present), revenue=revenue_of(present))
        progress.advance(task, len(chunk))


def _note_position(outcome: Load, service: str, answer: dict[str, Any]) -> None:
    outcome.positions[service] = max(outcome.positions.get(service, 0), answer["position"])


def _answers(text: str, expected: int, service: str) -> list[dict[str, Any]]:
    answers = [json.loads(line) for line in text.splitlines() if line]
    if len(answers) != expected:
        raise LocalError(f"{service} answered {len(answers)} lines to an import of {expected}")
    return answers


def _chunks(items: Iterator[Item]) -> Iterator[Sequence[Item]]:
    while chunk := list(islice(items, LINES_PER_REQUEST)):
        yield chunk
