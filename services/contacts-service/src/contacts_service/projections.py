"""The view of contacts: one document per customer with everything known of it."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import PublicEvent
from crm_contracts.events.contacts import (
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    IdentityLinked,
    PreferencesChanged,
)
from crm_shared.projections import Document, Projection, unexpected


class CustomerDocument(TypedDict):
    """All that is known of a customer; `_id` is the customer's id.

    `identifiers` and `preferences` are as the events say them, nulls included; `profile` and `attributes` hold only
    what is known. `created_at` is None while events of the customer came and the first one is missing.
    """

    _id: NotRequired[str]
    identifiers: list[dict[str, Any]]
    profile: dict[str, Any]
    attributes: dict[str, Any]
    tags: list[str]
    preferences: dict[str, Any] | None
    created_at: datetime | None
    updated_at: NotRequired[datetime]
    positions: NotRequired[dict[str, int]]


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer after the event."""
    before = cast(CustomerDocument, document) if document else _unknown()
    return {**_after(before, event), "updated_at": event.occurred_at}


def _after(before: CustomerDocument, event: PublicEvent) -> CustomerDocument:
    # Objects are kept as they came, with what a later minor version may add to them.
    data = event.data
    match event.payload:
        case CustomerIdentified(tags=tags):
            return {
                **before,
                "identifiers": data["identifiers"],
                "profile": known_values(data["profile"]),
                "attributes": data.get("attributes") or {},
                "tags": tags,
                "created_at": event.occurred_at,
            }
        case CustomerDetailsChanged(changed=changed):
            attributes = data.get("attributes") or {}
            return {
                **before,
                "profile": apply_changes(before["profile"], changed, data["profile"], "/profile"),
                "attributes": apply_changes(before["attributes"], changed, attributes, "/attributes"),
            }
        case IdentityLinked():
            return {**before, "identifiers": [*before["identifiers"], data["identifier"]]}
        case CustomerTagged(tag=tag):
            return {**before, "tags": [*before["tags"], tag]}
        case CustomerUntagged(tag=removed):
            return {**before, "tags": [tag for tag in before["tags"] if tag != removed]}
        case PreferencesChanged():
            return {**before, "preferences": data["preferences"]}
        case _:
            unexpected(event)


def _unknown() -> CustomerDocument:
    return {"identifiers": [], "profile": {}, "attributes": {}, "tags": [], "preferences": None, "created_at": None}


CUSTOMERS = Projection(
    name="contacts-service.customers",
    events=[
        CustomerIdentified,
        CustomerDetailsChanged,
        IdentityLinked,
        CustomerTagged,
        CustomerUntagged,
        PreferencesChanged,
    ],
    collection="customers",
    fold=fold,
)
