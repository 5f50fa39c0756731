"""What key figures are made of, gathered in two ways: from all customers' documents, or from a period of the timeline.

For all time the documents hold every sum already, one small document per customer. For a period the events are summed
by the store. Both give the same numbers.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_shared.money import exact_sum
from crm_shared.mongo import Document
from crm_shared.queries import View
from customer360_service.projections.feedback import FeedbackSection
from customer360_service.projections.interactions import InteractionsSection
from customer360_service.projections.nps import NPS_GROUPS
from customer360_service.projections.timeline import ACTIVITIES, PURCHASE
from customer360_service.projections.times import LONG_AGO

_IN_FIGURES = (
    "contacts.first_at",
    "interactions.purchases",
    "interactions.last_at",
    "feedback.last_at",
    "feedback.nps_counts",
)
# Documents are counted between two waits for the store, while other requests wait.
_COUNTED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open period [start, end); None is without bound."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class Figures:
    """Counts and exact sums of what customers did. `revenue` and `orders` are per currency."""

    identified: int = 0
    unidentified: int = 0
    active: int = 0
    purchasing: int = 0
    repeat: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    revenue: dict[str, Decimal] = field(default_factory=dict)
    nps: Counter[str] = field(default_factory=Counter)

    def add_customer(self, purchases: int) -> None:
        """Count an active customer with so many purchases."""
        self.active += 1
        self.purchasing += purchases >= 1
        self.repeat += purchases >= 2

    def add_sales(self, currency: str, orders: int, revenue: Decimal) -> None:
        """Count orders and add up their revenue."""
        self.orders[currency] += orders
        self.revenue[currency] = exact_sum(self.revenue.get(currency, Decimal(0)), revenue)


async def gather(customers: View, period: Period, currency: str | None) -> Figures:
    """The figures of the period; with `currency`, purchases in other currencies are left out."""
    if period == Period():
        return await _of_all_time(customers, currency)
    return await _of_period(customers, period, currency)


async def _of_all_time(customers: View, currency: str | None) -> Figures:
    figures = Figures()
    async for document in customers.documents.find({}, _IN_FIGURES).batch_size(_COUNTED_AT_ONCE):
        if "contacts" in document:
            figures.identified += 1
        else:
            figures.unidentified += 1
        interactions: InteractionsSection = document.get("interactions") or {}
        feedback: FeedbackSection = document.get("feedback") or {}
        by_currency = interactions["purchases"]["by_currency"] if "purchases" in interactions else {}
        sold = {key: sales for key, sales in by_currency.items() if currency in (None, key)}
        for key, sales in sold.items():
            figures.add_sales(key, sales["count"], Decimal(sales["revenue"]))
        if interactions or feedback:
            figures.add_customer(sum(sales["count"] for sales in sold.values()))
        figures.nps.update(feedback.get("nps_counts", {}))
    return figures


async def _of_period(customers: View, period: Period, currency: str | None) -> Figures:
    cursor = await customers.rows.aggregate(_pipeline(period, currency), allowDiskUse=True)
    (facets,) = await cursor.to_list()
    figures = Figures(
        identified=await _identified(customers, period.end), unidentified=await _unidentified(customers, period.end)
    )
    for counted in facets["customers"]:
        figures.active = int(counted["active"])
        figures.purchasing = int(counted["purchasing"])
        figures.repeat = int(counted["repeat"])
    for total in _only(currency, facets["currencies"]):
        figures.add_sales(total["_id"], int(total["purchases"]), total["revenue"].to_decimal())
    for total in facets["currencies"]:
        figures.nps.update({group: int(total[group]) for group in NPS_GROUPS})
    return figures


def _only(currency: str | None, sums: Iterable[Document]) -> list[Document]:
    """The sums of purchases: other activities have no currency."""
    return [total for total in sums if total["_id"] is not None and currency in (None, total["_id"])]


def _pipeline(period: Period, currency: str | None) -> list[dict[str, Any]]:
    """One pass over the period's activities, by customer and currency, and two small ones over what comes of it.

    The bounds are a stage of their own, so that stores find them by their index whatever comes next.
    """
    bounds = {"$gte": period.start, "$lt": period.end}
    within = {operator: moment for operator, moment in bounds.items() if moment is not None}
    counts = {"$eq": ["$type", PURCHASE]} if currency is None else {"$eq": ["$currency", currency]}
    return [
        {"$match": {"occurred_at": within}},
        {"$match": {"type": {"$in": list(ACTIVITIES)}}},
        {
            "$group": {
                "_id": {"customer": "$customer_id", "currency": "$currency"},
                "purchases": {"$sum": {"$cond": [counts, 1, 0]}},
                "revenue": {"$sum": "$amount"},
                **{group: {"$sum": f"${group}"} for group in NPS_GROUPS},
            }
        },
        {"$facet": {"customers": _by_customer(), "currencies": [_by_currency()]}},
    ]


def _by_customer() -> list[dict[str, Any]]:
    return [
        {"$group": {"_id": "$_id.customer", "purchases": {"$sum": "$purchases"}}},
        {
            "$group": {
                "_id": None,
                "active": {"$sum": 1},
                "purchasing": {"$sum": {"$cond": [{"$gte": ["$purchases", 1]}, 1, 0]}},
                "repeat": {"$sum": {"$cond": [{"$gte": ["$purchases", 2]}, 1, 0]}},
            }
        },
    ]


def _by_currency() -> dict[str, Any]:
    sums = ("purchases", "revenue", *NPS_GROUPS)
    return {"$group": {"_id": "$_id.currency", **{name: {"$sum": f"${name}"} for name in sums}}}


async def _identified(customers: View, end: datetime | None) -> int:
    known = {"$gte": LONG_AGO} if end is None else {"$gte": LONG_AGO, "$lt": end}
    return await customers.lookup.count_documents({"identified_at": known})


async def _unidentified(customers: View, end: datetime | None) -> int:
    unidentified = {"identified_at": None}
    if end is None:
        return await customers.lookup.count_documents(unidentified)
    # In two stages, because not every store finds by an index that has only one of the two.
    pipeline: list[dict[str, Any]] = [
        {"$match": unidentified},
        {"$match": {"seen_at": {"$lt": end}}},
        {"$count": "customers"},
    ]
    counted = await (await customers.lookup.aggregate(pipeline)).to_list()
    return int(counted[0]["customers"]) if counted else 0
