"""The endpoints of contacts."""

from typing import Annotated, cast
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
from contacts_service.application import Contacts, Sighting
from contacts_service.projections import NAME
from crm_shared.application import Answer, Command, Unit
from crm_shared.http.app import api_router
from crm_shared.http.bulk import OPENAPI_BODY, RESPONSES, LineContext, import_lines
from crm_shared.http.commands import CallerDep, CommandDep, json_response
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep

router = api_router()
COMMAND_ERRORS = documented(400, 404, 409, 413, 415, 422, 503)
CustomerIdPath = Annotated[UUID, Path(description="Customer id")]


def _contacts(request: Request) -> Contacts:
    return cast(Contacts, request.app.state.runtime.application)


@router.post(
    "/v1/customers/identify",
    response_model=IdentifiedOut,
    responses={201: {"model": IdentifiedOut, "description": "A new customer"}, **COMMAND_ERRORS},
    tags=["customers"],
    summary="Find a customer by any identifier, or register a new one",
)
async def identify(request: Request, body: IdentifyIn, call: CommandDep) -> Response:
    sighting = body.to_sighting()
    contacts = _contacts(request)
    return await call.answer(
        lambda unit: _identify(contacts, unit, sighting), reads=sighting.claim_ids, occurred_at=body.occurred_at
    )


def _identify(contacts: Contacts, unit: Unit, sighting: Sighting) -> Answer:
    identified = contacts.identify(unit, sighting)
    body = {"customer_id": identified.customer_id, "created": identified.created}
    return Answer(201 if identified.created else 200, body)


@router.post(
    "/v1/customers/import",
    responses=RESPONSES,
    openapi_extra=OPENAPI_BODY,
    tags=["customers"],
    summary="Identify many customers, one JSON object per line",
)
async def import_customers(request: Request, caller: CallerDep) -> Response:
    contacts = _contacts(request)

    def to_command(line: IdentifyIn, context: LineContext) -> Command[Answer]:
        sighting = line.to_sighting()
        return context.command(
            lambda unit: _identify(contacts, unit, sighting),
            reads=sighting.claim_ids,
            follows=lambda unit: contacts.owners(unit, sighting),
            occurred_at=line.occurred_at,
        )

    return await import_lines(request, caller, IdentifyIn, to_command)


@router.patch(
    "/v1/customers/{customer_id}",
    response_model=ChangedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Set or clear details (merge patch)",
)
async def change_details(request: Request, customer_id: CustomerIdPath, body: PatchIn, call: CommandDep) -> Response:
    changes = body.to_changes()

    def decide(unit: Unit) -> Answer:
        changed = _contacts(request).change_details(unit, customer_id, changes)
        return Answer(200, {"customer_id": str(customer_id), "changed": changed})

    return await call.answer(decide, reads=(customer_id,), occurred_at=body.occurred_at)


@router.post(
    "/v1/customers/{customer_id}/identifiers",
    response_model=LinkedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Link further identifiers",
)
async def add_identifiers(
    request: Request, customer_id: CustomerIdPath, body: IdentifiersIn, call: CommandDep
) -> Response:
    identifiers = body.to_identifiers()

    def decide(unit: Unit) -> Answer:
        linked = _contacts(request).add_identifiers(unit, customer_id, identifiers)
        return Answer(200, {"customer_id": str(customer_id), "linked": [one.as_dict() for one in linked]})

    reads = (customer_id, *(one.claim_id for one in identifiers))
    return await call.answer(decide, reads=reads, occurred_at=body.occurred_at)


@router.put(
    "/v1/customers/{customer_id}/tags/{tag}",
    response_model=TagOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Put a tag on",
)
async def tag(request: Request, customer_id: CustomerIdPath, tag: Tag, call: CommandDep) -> Response:
    def decide(unit: Unit) -> Answer:
        changed = _contacts(request).tag(unit, customer_id, tag)
        return Answer(200, {"customer_id": str(customer_id), "tag": tag, "changed": changed})

    return await call.answer(decide, reads=(customer_id,))


@router.delete(
    "/v1/customers/{customer_id}/tags/{tag}",
    response_model=TagOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Take a tag off",
)
async def untag(request: Request, customer_id: CustomerIdPath, tag: Tag, call: CommandDep) -> Response:
    def decide(unit: Unit) -> Answer:
        changed = _contacts(request).untag(unit, customer_id, tag)
        return Answer(200, {"customer_id": str(customer_id), "tag": tag, "changed": changed})

    return await call.answer(decide, reads=(customer_id,))


@router.put(
    "/v1/customers/{customer_id}/preferences",
    response_model=ChangedOut,
    responses=COMMAND_ERRORS,
    tags=["customers"],
    summary="Replace the communication preferences",
)
async def prefer(request: Request, customer_id: CustomerIdPath, body: PreferencesIn, call: CommandDep) -> Response:
    preferences = body.model_dump(exclude={"occurred_at"}, exclude_none=True)

    def decide(unit: Unit) -> Answer:
        changed = _contacts(request).prefer(unit, customer_id, preferences)
        return Answer(200, {"customer_id": str(customer_id), "changed": changed})

    return await call.answer(decide, reads=(customer_id,), occurred_at=body.occurred_at)


@router.get(
    "/v1/customers/{customer_id}",
    response_model=CustomerOut,
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="Everything that contacts knows of a customer",
)
async def get_customer(request: Request, customer_id: CustomerIdPath, after: AfterDep) -> Response:
    runtime = request.app.state.runtime
    await runtime.progress(NAME).wait_for(after)
    return json_response(200, await queries.customer(runtime.views, customer_id))
