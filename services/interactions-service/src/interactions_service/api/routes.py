"""The endpoints of interactions."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import Path, Request, Response

from crm_shared.application import Answer, Command, Unit
from crm_shared.http.app import api_router
from crm_shared.http.bulk import OPENAPI_BODY, RESPONSES, LineContext, import_lines
from crm_shared.http.commands import CallerDep, CommandDep, json_response
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep, Cursor, Limit, Page
from crm_shared.process import Runtime
from interactions_service import queries
from interactions_service.api.models import (
    InteractionIn,
    InteractionLoggedOut,
    InteractionOut,
    PurchaseIn,
    PurchaseOut,
    PurchaseRecordedOut,
)
from interactions_service.application import Interactions
from interactions_service.domain import InteractionFacts
from interactions_service.projections import NAME

router = api_router()
COMMAND_ERRORS = documented(400, 409, 413, 415, 422, 503)


def _interactions(request: Request) -> Interactions:
    return cast(Interactions, request.app.state.runtime.application)


async def _up_to_date(request: Request, after: dict[str, int]) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    if after:
        await runtime.progress(NAME).wait_for(after)
    return runtime


@router.post(
    "/v1/purchases",
    response_model=PurchaseRecordedOut,
    responses={201: {"model": PurchaseRecordedOut, "description": "A new purchase"}, **COMMAND_ERRORS},
    tags=["purchases"],
    summary="Record a purchase, once per system and order",
)
async def record_purchase(request: Request, body: PurchaseIn, call: CommandDep) -> Response:
    facts = body.to_facts()
    interactions = _interactions(request)

    def decide(unit: Unit) -> Answer:
        created = interactions.record_purchase(unit, facts)
        return Answer(201 if created else 200, {"purchase_id": str(facts.id), "customer_id": facts.customer_id})

    return await call.answer(decide, reads=(facts.id,), occurred_at=facts.occurred_at)


@router.post(
    "/v1/purchases/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["purchases"],
    summary="Record many purchases, one JSON object per line",
)
async def import_purchases(request: Request, caller: CallerDep) -> Response:
    interactions = _interactions(request)

    def to_command(line: PurchaseIn, context: LineContext) -> Command[Answer]:
        facts = line.to_facts()

        def decide(unit: Unit) -> Answer:
            created = interactions.record_purchase(unit, facts)
            return Answer(201 if created else 200, {"purchase_id": str(facts.id), "created": created})

        return context.command(decide, reads=(facts.id,), occurred_at=facts.occurred_at)

    return await import_lines(request, caller, PurchaseIn, to_command)


@router.get(
    "/v1/purchases/{purchase_id}",
    response_model=PurchaseOut,
    responses=documented(404, 422, 503),
    tags=["purchases"],
    summary="A purchase",
)
async def get_purchase(request: Request, purchase_id: Annotated[UUID, Path()], after: AfterDep) -> Response:
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.purchase(runtime.views, purchase_id))


@router.post(
    "/v1/interactions",
    response_model=InteractionLoggedOut,
    responses={201: {"model": InteractionLoggedOut, "description": "A new interaction"}, **COMMAND_ERRORS},
    tags=["interactions"],
    summary="Log an interaction; one with an external_id once per channel and external_id",
)
async def log_interaction(request: Request, body: InteractionIn, call: CommandDep) -> Response:
    facts = body.to_facts()
    interactions = _interactions(request)

    def decide(unit: Unit) -> Answer:
        created = interactions.log_interaction(unit, facts)
        return Answer(201 if created else 200, {"interaction_id": str(facts.id), "customer_id": facts.customer_id})

    return await call.answer(decide, reads=_reads(facts), occurred_at=facts.occurred_at)


@router.post(
    "/v1/interactions/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["interactions"],
    summary="Log many interactions, one JSON object per line",
)
async def import_interactions(request: Request, caller: CallerDep) -> Response:
    interactions = _interactions(request)

    def to_command(line: InteractionIn, context: LineContext) -> Command[Answer]:
        facts = line.to_facts()

        def decide(unit: Unit) -> Answer:
            created = interactions.log_interaction(unit, facts)
            return Answer(201 if created else 200, {"interaction_id": str(facts.id), "created": created})

        return context.command(decide, reads=_reads(facts), occurred_at=facts.occurred_at)

    return await import_lines(request, caller, InteractionIn, to_command)


def _reads(facts: InteractionFacts) -> tuple[UUID, ...]:
    """Only an interaction with an external id can be there already."""
    return () if facts.external_id is None else (facts.id,)


@router.get(
    "/v1/interactions/{interaction_id}",
    response_model=InteractionOut,
    responses=documented(404, 422, 503),
    tags=["interactions"],
    summary="An interaction",
)
async def get_interaction(request: Request, interaction_id: Annotated[UUID, Path()], after: AfterDep) -> Response:
    runtime = await _up_to_date(request, after)
    return json_response(200, await queries.interaction(runtime.views, interaction_id))


@router.get(
    "/v1/customers/{customer_id}/activities",
    response_model=Page[PurchaseOut | InteractionOut],
    responses=documented(422, 503),
    tags=["customers"],
    summary="A customer's purchases and interactions, newest first",
    description="Empty for a customer without any: this service knows customers by their ids only.",
)
async def list_activities(
    request: Request,
    customer_id: Annotated[UUID, Path(description="Customer id")],
    after: AfterDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    runtime = await _up_to_date(request, after)
    items, next_cursor = await queries.activities(runtime.views, customer_id, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})
