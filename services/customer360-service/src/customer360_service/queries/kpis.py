"""Key figures over all customers, for a period or for all time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_shared.contracts.envelope import rfc3339
from crm_shared.documents import Document
from crm_shared.generations import Generations
from customer360_service.projections import CUSTOMERS, NAME, SOURCES, TIMELINE
from customer360_service.projections.nps import NPS_GROUPS
from customer360_service.projections.timeline import ACTIVITIES, PURCHASE
from customer360_service.projections.times import LONG_AGO
from customer360_service.queries.numbers import averages, nps_score, rate


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open period [start, end); None is without bound."""

    start: datetime | None = None
    end: datetime | None = None


async def kpis(views: Generations, period: Period, currency: str | None) -> dict[str, Any]:
    """The key figures of the period; with `currency`, purchases in other currencies are left out.

    The definitions are in the descriptions of the API's fields.
    """
    pipeline = _figures(period, currency)
    timeline = await views.collection(NAME, TIMELINE)
    (found,) = await (await timeline.aggregate(pipeline, allowDiskUse=True)).to_list()
    return {
        "period": {"from": _text(period.start), "to": _text(period.end)},
        "customers": await _identified(views, period.end),
        "unidentified_customers": await _unidentified(views, period.end),
        **key_figures(found["customers"], found["currencies"], currency),
    }


def key_figures(
    customers: Sequence[Document], currencies: Sequence[Document], currency: str | None = None
) -> dict[str, Any]:
    """The figures of what customers did.

    `customers` holds at most one document with the numbers of `active`, `purchasing` and `repeat` customers;
    `currencies` one per currency (None for what has none) with `purchases`, `revenue` and the NPS groups.
    """
    counted = customers[0] if customers else {"active": 0, "purchasing": 0, "repeat": 0}
    sold = {one["_id"]: one for one in currencies if one["_id"] is not None and currency in (None, one["_id"])}
    revenue = {key: one["revenue"].to_decimal() for key, one in sorted(sold.items())}
    purchases = {key: int(one["purchases"]) for key, one in sold.items()}
    groups = {group: sum(int(one[group]) for one in currencies) for group in NPS_GROUPS}
    score = nps_score(**groups)
    active = int(counted["active"])
    purchasing = int(counted["purchasing"])
    return {
        "active_customers": active,
        "purchasing_customers": purchasing,
        "purchases": sum(purchases.values()),
        "revenue": {key: format(amount, "f") for key, amount in revenue.items()},
        "average_order_value": averages(revenue, purchases),
        "revenue_per_customer": averages(revenue, dict.fromkeys(revenue, active)),
        "repeat_rate": rate(int(counted["repeat"]), purchasing),
        "nps": None if score is None else {"score": score, **groups, "count": sum(groups.values())},
    }


def _figures(period: Period, currency: str | None) -> list[dict[str, Any]]:
    """One pass over the period's activities, by customer and currency, and two small ones over what comes of it."""
    matching: dict[str, Any] = {"type": {"$in": list(ACTIVITIES)}}
    if bounds := _bounds(period):
        matching["occurred_at"] = bounds
    counts = {"$eq": ["$type", PURCHASE]} if currency is None else {"$eq": ["$currency", currency]}
    return [
        {"$match": matching},
        {
            "$group": {
                "_id": {"customer": "$customer_id", "currency": "$currency"},
                "purchases": {"$sum": {"$cond": [counts, 1, 0]}},
                "revenue": {"$sum": "$amount"},
                **{group: {"$sum": f"${group}"} for group in NPS_GROUPS},
            }
        },
        {"$facet": {"customers": [*_by_customer()], "currencies": [_by_currency()]}},
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


async def _identified(views: Generations, end: datetime | None) -> int:
    known = {"$gte": LONG_AGO} if end is None else {"$gte": LONG_AGO, "$lt": end}
    return await (await views.collection(NAME, CUSTOMERS)).count_documents({"contacts.first_at": known})


async def _unidentified(views: Generations, end: datetime | None) -> int:
    collection = await views.collection(NAME, CUSTOMERS)
    unidentified = {"contacts.first_at": None}
    if end is None:
        return await collection.count_documents(unidentified)
    # In two steps, because not every store finds alternatives by an index.
    seen = {"$or": [{f"{source}.first_at": {"$lt": end}} for source in SOURCES]}
    pipeline: list[dict[str, Any]] = [{"$match": unidentified}, {"$match": seen}, {"$count": "customers"}]
    counted = await (await collection.aggregate(pipeline)).to_list()
    return int(counted[0]["customers"]) if counted else 0


def _bounds(period: Period) -> dict[str, datetime]:
    bounds = {"$gte": period.start, "$lt": period.end}
    return {operator: moment for operator, moment in bounds.items() if moment is not None}


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
