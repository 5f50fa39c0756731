"""Customers over HTTP: the customer 360, and lists by identifier, by search, or of all."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from crm_shared.http.fields import printable
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from crm_shared.http.views import view_of_all, view_of_one
from crm_shared.queries import View
from customer360_service import queries
from customer360_service.api.fields import CustomerId, PerCurrency
from customer360_service.projections import CUSTOMERS

router = api_router()

IdentifierText = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(printable)]
RegionText = Annotated[str, StringConstraints(max_length=100)]
SearchText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]


class IdentifierOut(BaseModel):
    """Something that names the customer in some system."""

    type: str = Field(description="Open enumeration; known: email, phone, external")
    value: str | None
    system: str | None


class ChannelOut(BaseModel):
    """Interactions on one channel."""

    count: int
    last_at: datetime


class InteractionsOut(BaseModel):
    """What was said."""

    count: int
    last_at: datetime | None
    by_channel: dict[str, ChannelOut]


class PurchasesOut(BaseModel):
    """What was bought."""

    count: int
    revenue: PerCurrency = Field(description="Exact sum of all purchases, per currency")
    average: PerCurrency = Field(description="Revenue divided by purchases in that currency, to two places")
    first_at: datetime | None
    last_at: datetime | None


class SegmentOut(BaseModel):
    """A segment that the customer is in now."""

    key: str
    name: str = Field(description="As it was when the customer entered")
    since: datetime


class ResponseOut(BaseModel):
    """The latest response to one survey, by the time of answering."""

    response_id: str
    answered_at: datetime
    answers: dict[str, int | str | None] = Field(description="Question key to answer")


class FeedbackOut(BaseModel):
    """What the customer answered."""

    count: int
    last_at: datetime | None
    latest: dict[str, ResponseOut] = Field(description="Survey key to the latest response")
    nps: int | None = Field(description="The latest answer to an NPS question in any survey, 0 to 10")


class CustomerOut(BaseModel):
    """The customer 360: everything that is known of one customer, from every source."""

    customer_id: str
    identified: bool = Field(description="Whether contacts has announced the customer; without, details are empty")
    identifiers: list[IdentifierOut]
    profile: dict[str, Any] = Field(description="What is known of: kind, name, birth_date, gender, language, ...")
    tags: list[str]
    attributes: dict[str, Any] = Field(description="Custom attributes")
    preferences: dict[str, Any] | None = Field(description="Null until the customer states any")
    interactions: InteractionsOut
    purchases: PurchasesOut
    segments: list[SegmentOut]
    feedback: FeedbackOut
    first_seen_at: datetime | None = Field(description="When the earliest event of any source happened")
    last_activity_at: datetime | None = Field(description="When the customer last interacted, bought or answered")
    positions: dict[str, int] = Field(description="Source to the last log position that this view holds of it")


class PurchasesSummaryOut(BaseModel):
    """Purchases in a list of customers."""

    count: int
    revenue: PerCurrency


class CustomerSummaryOut(BaseModel):
    """A customer in a list."""

    customer_id: str
    identified: bool
    name: str | None
    identifiers: list[IdentifierOut]
    purchases: PurchasesSummaryOut
    last_activity_at: datetime | None


@router.get(
    "/v1/customers",
    response_model=Page[CustomerSummaryOut],
    responses=documented(422, 503),
    tags=["customers"],
    summary="Customers by identifier, by search, or all of them, in the order in which they became known",
)
async def list_customers(
    known: Annotated[View, view_of_all(CUSTOMERS)],
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
    items, next_cursor = await queries.customers(known, wanted, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})


@router.get(
    "/v1/customers/{customer_id}",
    response_model=CustomerOut,
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="The customer 360",
    description="A customer of whom other sources spoke before contacts has `identified: false`.",
)
async def get_customer(customer_id: CustomerId, customers: Annotated[View, view_of_one(CUSTOMERS)]) -> Response:
    return json_response(200, await queries.customer(customers, customer_id))
