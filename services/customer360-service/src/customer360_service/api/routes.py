"""The endpoints of customer360."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from crm_shared.domain import InvalidInput
from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from crm_shared.http.fields import Currency, printable
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep, Cursor, Limit, Page
from crm_shared.process import Runtime
from customer360_service import queries
from customer360_service.api.models import CustomerOut, CustomerSummaryOut, KpisOut, TimelineEntryOut
from customer360_service.projections import NAME

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


CustomerId = Annotated[UUID, Path(description="Customer id")]
IdentifierText = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(printable)]
RegionText = Annotated[str, StringConstraints(max_length=100)]
SearchText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]


async def _up_to_date(request: Request, after: dict[str, int]) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    if after:
        await runtime.progress(NAME).wait_for(after)
    return runtime


@router.get(
    "/v1/customers",
    response_model=Page[CustomerSummaryOut],
    responses=documented(422, 503),
    tags=["customers"],
    summary="Customers by identifier, by search, or all of them, in the order in which they became known",
)
async def list_customers(
    request: Request,
    after: AfterDep,
    identifier: Annotated[
        IdentifierText | None,
        Query(
            examples=["email:lan@example.com"],
            description="Exactly this one: `email:<address>`, `phone:<number>` or `<type>:<system>:<value>`, such as"
            " external:webshop:1234",
        ),
    ] = None,
    region: Annotated[
        RegionText | None,
        Query(examples=["VN"], description="ISO 3166-1: whose a phone number without a country's code is"),
    ] = None,
    q: Annotated[
        SearchText | None,
        Query(
            examples=["nguyen khai"],
            description="Up to 8 words. Each must begin a word of the name, or an email address, phone number or"
            " external id; case, diacritics and apostrophes do not matter: nguyen finds Nguyễn, obrien O'Brien. A phone"
            " is also found by its last digits (4 or more), a name written without spaces by any part of it",
        ),
    ] = None,
    identified: Annotated[
        bool, Query(description="False: those instead whom contacts has not announced (yet), by their ids")
    ] = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    wanted = queries.Wanted(identified=identified, identifier=identifier, region=region, text=q)
    runtime = await _up_to_date(request, after)
    items, next_cursor = await queries.customers(runtime.views, wanted, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})


@router.get(
    "/v1/customers/{customer_id}",
    response_model=CustomerOut,
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="The customer 360",
    description="A customer of whom other sources spoke before contacts has `identified: false`.",
)
async def get_customer(request: Request, customer_id: CustomerId, after: AfterDep) -> Response:
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.customer(runtime.views, customer_id))


@router.get(
    "/v1/customers/{customer_id}/timeline",
    response_model=Page[TimelineEntryOut],
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="A customer's history from every source, by the time it happened, newest first",
)
async def get_timeline(
    request: Request, customer_id: CustomerId, after: AfterDep, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    runtime = await _up_to_date(request, after)
    items, next_cursor = await queries.timeline(runtime.views, customer_id, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})


@router.get(
    "/v1/kpis",
    response_model=KpisOut,
    responses=documented(422, 503),
    tags=["key figures"],
    summary="Key figures of a period, or of all time",
)
async def get_kpis(
    request: Request,
    after: AfterDep,
    start: Annotated[Moment | None, Query(alias="from", description="Begin of the period, included")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="End of the period, not included")] = None,
    currency: Annotated[Currency | None, Query(description="Count purchases in this currency only")] = None,
) -> Response:
    period = queries.Period(start, _later(start, end))
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.kpis(runtime.views, period, currency))


def _later(start: datetime | None, end: datetime | None) -> datetime | None:
    if start is not None and end is not None and end <= start:
        raise InvalidInput.at("?to", "empty_period", "the period ends before it begins: `to` must be after `from`")
    return end
