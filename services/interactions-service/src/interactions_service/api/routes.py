"""The endpoints of interactions."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Request, Response

from crm_shared.http.app import api_router
from crm_shared.http.bulk import OPENAPI_BODY, RESPONSES, import_lines
from crm_shared.http.commands import CallerDep, CommandDep, json_response
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from crm_shared.http.views import view_of_all, view_of_one
from crm_shared.queries import View
from interactions_service import queries
from interactions_service.api.models import (
    InteractionIn,
    InteractionLoggedOut,
    InteractionOut,
    PurchaseIn,
    PurchaseOut,
    PurchaseRecordedOut,
)
from interactions_service.application import LogInteraction, RecordPurchase
from interactions_service.projections import ACTIVITIES

router = api_router()
COMMAND_ERRORS = documented(400, 409, 413, 415, 422, 503)


Activities = Annotated[View, view_of_all(ACTIVITIES)]
Activity = Annotated[View, view_of_one(ACTIVITIES)]


@router.post(
    "/v1/purchases",
    response_model=PurchaseRecordedOut,
    responses={201: {"model": PurchaseRecordedOut, "description": "A new purchase"}, **COMMAND_ERRORS},
    tags=["purchases"],
    summary="Record a purchase, once per system and order",
)
async def record_purchase(body: PurchaseIn, call: CommandDep) -> Response:
    return await call.answer(RecordPurchase(body.to_facts()))


@router.post(
    "/v1/purchases/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["purchases"],
    summary="Record many purchases, one JSON object per line",
)
async def import_purchases(request: Request, caller: CallerDep) -> Response:
    return await import_lines(request, caller, PurchaseIn, lambda line: RecordPurchase(line.to_facts()))


@router.get(
    "/v1/purchases/{purchase_id}",
    response_model=PurchaseOut,
    responses=documented(404, 422, 503),
    tags=["purchases"],
    summary="A purchase",
)
async def get_purchase(purchase_id: Annotated[UUID, Path()], activities: Activity) -> Response:
    return json_response(200, await queries.purchase(activities, purchase_id))


@router.post(
    "/v1/interactions",
    response_model=InteractionLoggedOut,
    responses={201: {"model": InteractionLoggedOut, "description": "A new interaction"}, **COMMAND_ERRORS},
    tags=["interactions"],
    summary="Log an interaction; one with an external_id once per channel and external_id",
)
async def log_interaction(body: InteractionIn, call: CommandDep) -> Response:
    return await call.answer(LogInteraction(body.to_facts()))


@router.post(
    "/v1/interactions/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["interactions"],
    summary="Log many interactions, one JSON object per line",
)
async def import_interactions(request: Request, caller: CallerDep) -> Response:
    return await import_lines(request, caller, InteractionIn, lambda line: LogInteraction(line.to_facts()))


@router.get(
    "/v1/interactions/{interaction_id}",
    response_model=InteractionOut,
    responses=documented(404, 422, 503),
    tags=["interactions"],
    summary="An interaction",
)
async def get_interaction(interaction_id: Annotated[UUID, Path()], activities: Activity) -> Response:
    return json_response(200, await queries.interaction(activities, interaction_id))


@router.get(
    "/v1/customers/{customer_id}/activities",
    response_model=Page[PurchaseOut | InteractionOut],
    responses=documented(422, 503),
    tags=["customers"],
    summary="A customer's purchases and interactions, newest first",
    description="Empty for a customer without any: this service knows customers by their ids only.",
)
async def list_activities(
    customer_id: Annotated[UUID, Path(description="Customer id")],
    activities: Activities,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    items, next_cursor = await queries.of_customer(activities, customer_id, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})
