"""Key figures over all customers, for a period or for all time. Their definitions are with the API's fields."""

from datetime import datetime
from typing import Any

from crm_contracts.envelope import rfc3339
from crm_shared.queries import View
from customer360_service.projections.nps import NPS_GROUPS
from customer360_service.queries.figures import Period, gather
from customer360_service.queries.numbers import averages, nps_score, rate


async def kpis(customers: View, period: Period, currency: str | None) -> dict[str, Any]:
    """The key figures of the period; with `currency`, purchases in other currencies are left out."""
    figures = await gather(customers, period, currency)
    revenue = dict(sorted(figures.revenue.items()))
    groups = {group: figures.nps[group] for group in NPS_GROUPS}
    score = nps_score(**groups)
    return {
        "period": {"from": _text(period.start), "to": _text(period.end)},
        "customers": figures.identified,
        "unidentified_customers": figures.unidentified,
        "active_customers": figures.active,
        "purchasing_customers": figures.purchasing,
        "purchases": figures.orders.total(),
        "revenue": {currency: format(amount, "f") for currency, amount in revenue.items()},
        "average_order_value": averages(revenue, figures.orders),
        "revenue_per_customer": averages(revenue, dict.fromkeys(revenue, figures.active)),
        "repeat_rate": rate(figures.repeat, figures.purchasing),
        "nps": None if score is None else {"score": score, **groups, "count": sum(groups.values())},
    }


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
