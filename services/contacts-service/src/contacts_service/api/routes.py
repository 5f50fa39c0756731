"""The endpoints of contacts."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Request, Response

from contacts_service import queries
from contacts_service.api.models import (
    ChangedOut,
    CustomerOut,
    IdentifiedOut,
    IdentifiersIn,
    IdentifyIn,
    LinkedOut,
    PatchIn,
    PreferencesIn,
    Tag,
    TagOut,
)
from contacts_service.application import (
    ChangeDetails,
    ChangePreferences,
    IdentifyCustomer,
    LinkIdentifiers,
    TagCustomer,
    UntagCustomer,
)
from contacts_service.projections import CUSTOMERS
from crm_shared.http.app import api_router
from crm_shared.http.bulk import OPENAPI_BODY, RESPONSES, import_lines
from crm_shared.http.commands import CallerDep, CommandDep, json_response
from crm_shared.http.problems import documented
from crm_shared.http.views import view_of_one
from crm_shared.queries import View

router = api_router()
COMMAND_ERRORS = documented(400, 404, 409, 413, 415, 422, 503)
CustomerIdPath = Annotated[UUID, Path(description="Customer id")]
Customers = Annotated[View, view_of_one(CUSTOMERS)]


@router.post(
    "/v1/customers/identify",
    response_model=IdentifiedOut,
    responses={201: {"model": IdentifiedOut, "description": "A new customer"}, **COMMAND_ERRORS},
    tags=["customers"],
    summary="Find a customer by any identifier, or register a new one",
)
async def identify(body: IdentifyIn, call: CommandDep) -> Response:
    return await call.answer(IdentifyCustomer(body.to_sighting(), body.occurred_at))


@router.post(
    "/v1/customers/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["customers"],
    summary="Identify many customers, one JSON object per line",
)
async def import_customers(request: Request, caller: CallerDep) -> Response:
    return await import_lines(
        request, caller, IdentifyIn, lambda line: IdentifyCustomer(line.to_sighting(), line.occurred_at)
    )


@router.patch(
    "/v1/customers/{customer_id}",
    response_model=ChangedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Set or clear details (merge patch)",
)
async def change_details(customer_id: CustomerIdPath, body: PatchIn, call: CommandDep) -> Response:
    return await call.answer(ChangeDetails(customer_id, body.to_changes(), body.occurred_at))


@router.post(
    "/v1/customers/{customer_id}/identifiers",
    response_model=LinkedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Link further identifiers",
)
async def add_identifiers(customer_id: CustomerIdPath, body: IdentifiersIn, call: CommandDep) -> Response:
    return await call.answer(LinkIdentifiers(customer_id, body.to_identifiers(), body.occurred_at))


@router.put(
    "/v1/customers/{customer_id}/tags/{tag:path}",
    response_model=TagOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Put a tag on",
)
async def tag(customer_id: CustomerIdPath, tag: Tag, call: CommandDep) -> Response:
    return await call.answer(TagCustomer(customer_id, tag))


@router.delete(
    "/v1/customers/{customer_id}/tags/{tag:path}",
    response_model=TagOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Take a tag off",
)
async def untag(customer_id: CustomerIdPath, tag: Tag, call: CommandDep) -> Response:
    return await call.answer(UntagCustomer(customer_id, tag))


@router.put(
    "/v1/customers/{customer_id}/preferences",
    response_model=ChangedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Replace the communication preferences",
)
async def prefer(customer_id: CustomerIdPath, body: PreferencesIn, call: CommandDep) -> Response:
    return await call.answer(ChangePreferences(customer_id, body.to_preferences(), body.occurred_at))


@router.get(
    "/v1/customers/{customer_id}",
    response_model=CustomerOut,
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="Everything that contacts knows of a customer",
)
async def get_customer(customer_id: CustomerIdPath, customers: Customers) -> Response:
    return json_response(200, await queries.customer(customers, customer_id))
