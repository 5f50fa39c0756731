"""The view of contacts: one document per customer with everything known of it."""

from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import PublicEvent
from crm_contracts.events import contacts as public
from crm_contracts.registry import event_type_of, events_topic
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection

NAME = "contacts-service.customers"
COLLECTION = "customers"

HANDLES = frozenset(
    event_type_of(model).ce_type
    for model in (
        public.CustomerIdentified,
        public.CustomerDetailsChanged,
        public.IdentityLinked,
        public.CustomerTagged,
        public.CustomerUntagged,
        public.PreferencesChanged,
    )
)


def customers(database: AsyncDatabase[Document]) -> DocumentProjection:
    """The projection that keeps the collection `customers`."""
    return DocumentProjection(
        database,
        name=NAME,
        topics=[events_topic("contacts")],
        handles=HANDLES,
        collection=COLLECTION,
        fold=fold,
    )


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer after the event."""
    data = event.data
    before = document or _unknown()
    match event.name:
        case "CustomerIdentified":
            after = {
                **before,
                "identifiers": data["identifiers"],
                "profile": known_values(data["profile"]),
                "attributes": data.get("attributes") or {},
                "tags": data["tags"],
                "created_at": event.occurred_at,
            }
        case "CustomerDetailsChanged":
            after = {
                **before,
                "profile": apply_changes(before["profile"], data["changed"], data["profile"], "/profile"),
                "attributes": apply_changes(
                    before["attributes"], data["changed"], data.get("attributes") or {}, "/attributes"
                ),
            }
        case "IdentityLinked":
            after = {**before, "identifiers": [*before["identifiers"], data["identifier"]]}
        case "CustomerTagged":
            after = {**before, "tags": [*before["tags"], data["tag"]]}
        case "CustomerUntagged":
            after = {**before, "tags": [tag for tag in before["tags"] if tag != data["tag"]]}
        case "PreferencesChanged":
            after = {**before, "preferences": data["preferences"]}
        case _:
            return before
    return {**after, "updated_at": event.occurred_at}


def _unknown() -> Document:
    return {"identifiers": [], "profile": {}, "attributes": {}, "tags": [], "preferences": None, "created_at": None}
