"""Key figures over HTTP. The description of each is its definition."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from crm_shared.domain import InvalidInput
from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from crm_shared.http.fields import Currency
from crm_shared.http.problems import documented
from crm_shared.http.views import view_of_all
from crm_shared.queries import View
from customer360_service import queries
from customer360_service.api.fields import PerCurrency
from customer360_service.projections import CUSTOMERS

router = api_router()

_DATE_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
_BLANK_FOR_PLUS = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?) ([0-9]{2}:[0-9]{2})"
)


def _written(value: Any) -> Any:
    # Pydantic alone also takes seconds since 1970.
    if not isinstance(value, str) or not _DATE_AND_TIME.match(value):
        raise PydanticCustomError("time_text", "write the time as RFC 3339 with its zone: 1997-01-01T00:00:00Z")
    if match := _BLANK_FOR_PLUS.fullmatch(value):
        message = f"in an address a + means a blank: write it as %2B, here {match[1]}%2B{match[2]}"
        raise PydanticCustomError("unescaped_plus", "{message}", {"message": message})
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time_range", "the time is outside of the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]


class PeriodOut(BaseModel):
    """The half-open period [from, to); null is without bound."""

    from_: datetime | None = Field(alias="from")
    to: datetime | None


class NpsOut(BaseModel):
    """Answers to NPS questions. Several answers of one customer in the period all count."""

    score: float = Field(
        description="Percentage of promoters less percentage of detractors, -100 to 100, to one place. Source:"
        " Reichheld, The One Number You Need to Grow, Harvard Business Review 81 (12), 2003"
    )
    promoters: int = Field(description="Answers 9 and 10")
    passives: int = Field(description="Answers 7 and 8")
    detractors: int = Field(description="Answers 0 to 6")
    count: int = Field(description="All answers")


class KpisOut(BaseModel):
    """Key figures. What happened counts by the time it happened, whenever it was recorded.

    Averages are rounded once, halves to the even digit. Purchases of customers that are not identified (yet) count.
    """

    period: PeriodOut
    customers: int = Field(description="Identified customers at the end of the period: first known to contacts before")
    unidentified_customers: int = Field(
        description="Customers of whom some source spoke of before the end of the period, and whom contacts has not"
        " announced; not among `customers`"
    )
    active_customers: int = Field(
        description="Customers, identified or not, with an interaction, a purchase (in any currency) or a survey answer"
        " in the period"
    )
    purchasing_customers: int = Field(description="Customers, identified or not, with a purchase in the period")
    purchases: int = Field(description="Purchases in the period")
    revenue: PerCurrency = Field(description="Exact sum of the totals of the period's purchases, per currency")
    average_order_value: PerCurrency = Field(
        description="Revenue divided by the purchases in that currency, to two places"
    )
    revenue_per_customer: PerCurrency = Field(
        description="Revenue divided by `active_customers`, to two places: average revenue per user (ARPU), with those"
        " as users who were active in the same period; not by all customers, and not by the purchasing ones only"
    )
    repeat_rate: str | None = Field(
        examples=["0.4321"],
        description="Customers with two or more purchases in the period divided by `purchasing_customers`, to four"
        " places; null without purchases",
    )
    nps: NpsOut | None = Field(description="Net promoter score of the period's answers; null without answers")


@router.get(
    "/v1/kpis",
    response_model=KpisOut,
    responses=documented(422, 503),
    tags=["key figures"],
    summary="Key figures of a period, or of all time",
)
async def get_kpis(
    customers: Annotated[View, view_of_all(CUSTOMERS)],
    start: Annotated[Moment | None, Query(alias="from", description="Begin of the period, included")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="End of the period, not included")] = None,
    currency: Annotated[Currency | None, Query(description="Count purchases in this currency only")] = None,
) -> Response:
    period = queries.Period(start, _later(start, end))
    return json_response(200, await queries.kpis(customers, period, currency))


def _later(start: datetime | None, end: datetime | None) -> datetime | None:
    if start is not None and end is not None and end <= start:
        raise InvalidInput.at("?to", "empty_period", "the period ends before it begins: `to` must be after `from`")
    return end
