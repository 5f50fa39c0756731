"""The HTTP interface of interactions-service: its routes, and the models of requests and responses."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from crm_shared.http.app import api_router
from crm_shared.http.commands import CallerDep, CommandDep, json_response
from crm_shared.http.imports import OPENAPI_BODY, RESPONSES, LineContext, import_lines
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep, Cursor, Limit, Page
from crm_shared.idempotency import Answer
from crm_shared.service import Runtime
from crm_shared.writer import Command, Unit
from interactions_service import queries
from interactions_service.application import Interactions
from interactions_service.domain import InteractionFacts, Line, Money, PurchaseFacts

router: APIRouter = api_router()

_UUID = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Within these a time exists in every zone.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_ATTRIBUTE_LIMIT = 2**53


def _written_time(value: Any) -> Any:
    # Pydantic alone would also take seconds since 1970, as a number or as text.
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError("rfc3339", "write a time as RFC 3339 with its zone, like 1997-01-18T10:30:00+07:00")
    return value


def _in_utc(moment: datetime) -> datetime:
    if not _EARLIEST <= moment <= _LATEST:
        raise PydanticCustomError("out_of_range", "times from 1900 to 9999 are taken")
    return moment.astimezone(UTC)


def _bounded(value: str | bool | int | float) -> str | bool | int | float:
    if isinstance(value, int | float) and abs(value) >= _ATTRIBUTE_LIMIT:
        raise PydanticCustomError("number_too_large", "a number must lie between -2^53 and 2^53")
    return value


Uuid = Annotated[str, StringConstraints(pattern=_UUID, to_lower=True), Field(json_schema_extra={"format": "uuid"})]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_time), AfterValidator(_in_utc), Field(strict=False)]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,18}(\.[0-9]{1,6})?$", examples=["29.33"])]
SignedAmount = Annotated[str, Field(pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,6})?$", examples=["29.33"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["USD"], description="ISO 4217 code")]
AttributeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
AttributeValue = Annotated[
    Annotated[str, Field(max_length=1000)] | bool | int | Annotated[float, Field(allow_inf_nan=False)],
    AfterValidator(_bounded),
]


class RequestModel(BaseModel):
    """Base of what callers send: nothing unknown, and no value of another type than said."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TotalModel(RequestModel):
    """What the customer paid: nothing or more, up to 18 digits before the point and 6 after it."""

    amount: Amount
    currency: Currency


class UnitPriceModel(RequestModel):
    """The price of one piece, in the currency of the total; below zero for a discount."""

    amount: SignedAmount
    currency: Currency


class PurchaseLineModel(RequestModel):
    """One line of an order."""

    sku: Key
    name: Annotated[str, Field(max_length=500)] | None = None
    category: Annotated[str, Field(max_length=200)] | None = None
    quantity: Annotated[int, Field(ge=1, le=1_000_000_000)]
    unit_price: UnitPriceModel | None = None


class PurchaseModel(RequestModel):
    """A purchase. If every line is priced they add up to the total; if some are, those do not exceed it."""

    customer_id: Uuid
    system: Annotated[Key, Field(description="The system that the order is from")]
    order_id: Annotated[Key, Field(description="The order in that system")]
    occurred_at: Annotated[Moment, Field(description="At most a day in the future")]
    total: TotalModel
    lines: Annotated[list[PurchaseLineModel], Field(max_length=200)] = []
    channel: Annotated[ChannelName | None, Field(description="Known: store, web, app, phone, social")] = None

    def facts(self) -> PurchaseFacts:
        """The same in the terms of the domain."""
        return PurchaseFacts(
            customer_id=self.customer_id,
            system=self.system,
            order_id=self.order_id,
            occurred_at=self.occurred_at,
            total=_money(self.total),
            lines=tuple(
                Line(
                    line.sku,
                    line.quantity,
                    line.name,
                    line.category,
                    None if line.unit_price is None else _money(line.unit_price),
                )
                for line in self.lines
            ),
            channel=self.channel,
        )


class InteractionModel(RequestModel):
    """A message, call, visit or other contact with a customer."""

    customer_id: Uuid
    channel: Annotated[
        ChannelName, Field(description="Known: email, phone, sms, chat, web, app, social, mail, in_person")
    ]
    direction: Literal["inbound", "outbound"]
    occurred_at: Annotated[Moment, Field(description="At most a day in the future")]
    subject: Annotated[str, Field(max_length=1000)] | None = None
    body: Annotated[str, Field(max_length=30_000)] | None = None
    agent: Annotated[Key | None, Field(description="Opaque id of the member of staff")] = None
    external_id: Annotated[Key | None, Field(description="The id in the reporting system")] = None
    attributes: Annotated[dict[AttributeName, AttributeValue], Field(max_length=100)] | None = None

    def facts(self) -> InteractionFacts:
        """The same in the terms of the domain."""
        return InteractionFacts(**dict(self))


class PurchaseRecordedAnswer(BaseModel):
    """The purchase is recorded; `position` is the log position of its event."""

    purchase_id: str
    customer_id: str
    position: int


class InteractionLoggedAnswer(BaseModel):
    """The interaction is logged; `position` is the log position of its event."""

    interaction_id: str
    customer_id: str
    position: int


class MoneyView(BaseModel):
    """An amount of money."""

    amount: str
    currency: str


class PurchaseLineView(BaseModel):
    """One line of an order."""

    sku: str
    name: str | None
    category: str | None
    quantity: int
    unit_price: MoneyView | None


class PurchaseView(BaseModel):
    """A recorded purchase."""

    type: Literal["purchase"]
    purchase_id: str
    customer_id: str
    system: str
    order_id: str
    total: MoneyView
    lines: list[PurchaseLineView]
    channel: str | None
    occurred_at: datetime
    recorded_at: datetime
    position: int


class InteractionView(BaseModel):
    """A logged interaction."""

    type: Literal["interaction"]
    interaction_id: str
    customer_id: str
    channel: str
    direction: str
    subject: str | None
    body: str | None
    agent: str | None
    external_id: str | None
    attributes: dict[str, str | bool | int | float] | None
    occurred_at: datetime
    recorded_at: datetime
    position: int


_COMMAND_ERRORS = documented(400, 409, 413, 415, 422, 503)
_QUERY_ERRORS = documented(404, 422, 503)


@router.post(
    "/v1/purchases",
    status_code=201,
    tags=["purchases"],
    summary="Record a purchase, once per system and order",
    responses={
        201: {"model": PurchaseRecordedAnswer},
        200: {"model": PurchaseRecordedAnswer, "description": "This purchase is recorded already"},
        **_COMMAND_ERRORS,
    },
)
async def record_purchase(request: Request, call: CommandDep, body: PurchaseModel) -> Response:
    facts = body.facts()
    application = _application(request)

    def decide(unit: Unit) -> Answer:
        created = application.record_purchase(unit, facts)
        return Answer(201 if created else 200, {"purchase_id": str(facts.id), "customer_id": facts.customer_id})

    return await call.answer(decide, reads=(facts.id,), occurred_at=facts.occurred_at)


@router.post(
    "/v1/purchases/import",
    tags=["purchases"],
    summary="Record many purchases, one per line",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
)
async def import_purchases(request: Request, caller: CallerDep) -> Response:
    application = _application(request)

    def to_command(model: PurchaseModel, line: LineContext) -> Command[Answer]:
        facts = model.facts()

        def decide(unit: Unit) -> Answer:
            created = application.record_purchase(unit, facts)
            return Answer(200, {"purchase_id": str(facts.id), "created": created})

        return line.command(decide, reads=(facts.id,), occurred_at=facts.occurred_at)

    return await import_lines(request, caller, PurchaseModel, to_command)


@router.post(
    "/v1/interactions",
    status_code=201,
    tags=["interactions"],
    summary="Log an interaction; with an external_id, once per channel and external_id",
    responses={
        201: {"model": InteractionLoggedAnswer},
        200: {"model": InteractionLoggedAnswer, "description": "This interaction is logged already"},
        **_COMMAND_ERRORS,
    },
)
async def log_interaction(request: Request, call: CommandDep, body: InteractionModel) -> Response:
    facts = body.facts()
    application = _application(request)

    def decide(unit: Unit) -> Answer:
        created = application.log_interaction(unit, facts)
        return Answer(201 if created else 200, {"interaction_id": str(facts.id), "customer_id": facts.customer_id})

    return await call.answer(decide, reads=_reads(facts), occurred_at=facts.occurred_at)


@router.post(
    "/v1/interactions/import",
    tags=["interactions"],
    summary="Log many interactions, one per line",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
)
async def import_interactions(request: Request, caller: CallerDep) -> Response:
    application = _application(request)

    def to_command(model: InteractionModel, line: LineContext) -> Command[Answer]:
        facts = model.facts()

        def decide(unit: Unit) -> Answer:
            created = application.log_interaction(unit, facts)
            return Answer(200, {"interaction_id": str(facts.id), "created": created})

        return line.command(decide, reads=_reads(facts), occurred_at=facts.occurred_at)

    return await import_lines(request, caller, InteractionModel, to_command)


@router.get(
    "/v1/purchases/{purchase_id}",
    tags=["purchases"],
    summary="A purchase",
    responses={200: {"model": PurchaseView}, **_QUERY_ERRORS},
)
async def get_purchase(request: Request, purchase_id: Annotated[Uuid, Path()], after: AfterDep) -> Response:
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.one(runtime.database, "purchase", purchase_id))


@router.get(
    "/v1/interactions/{interaction_id}",
    tags=["interactions"],
    summary="An interaction",
    responses={200: {"model": InteractionView}, **_QUERY_ERRORS},
)
async def get_interaction(request: Request, interaction_id: Annotated[Uuid, Path()], after: AfterDep) -> Response:
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.one(runtime.database, "interaction", interaction_id))


@router.get(
    "/v1/customers/{customer_id}/activities",
    tags=["customers"],
    summary="A customer's purchases and interactions, newest first",
    description="Empty for a customer that nothing was recorded for: this service knows customers by id only.",
    responses={200: {"model": Page[PurchaseView | InteractionView]}, **documented(422, 503)},
)
async def list_activities(
    request: Request,
    customer_id: Annotated[Uuid, Path()],
    after: AfterDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    runtime = await _up_to_date(request, after)
    items, next_cursor = await queries.page(runtime.database, customer_id, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})


def _application(request: Request) -> Interactions:
    return cast(Interactions, request.app.state.runtime.application)


async def _up_to_date(request: Request, after: dict[str, int]) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    if after:
        await runtime.progress(queries.VIEW).wait_for(after)
    return runtime


def _reads(facts: InteractionFacts) -> tuple[Any, ...]:
    """Only an interaction with an external id can be there already."""
    return () if facts.external_id is None else (facts.id,)


def _money(model: TotalModel | UnitPriceModel) -> Money:
    return Money(Decimal(model.amount), model.currency)
