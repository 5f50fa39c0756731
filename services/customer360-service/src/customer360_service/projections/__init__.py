"""The views of customer360: one document per customer and one row per event of its timeline, by one consumer group."""

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.events import contacts, feedback, interactions, segmentation
from crm_contracts.registry import event_type_of, events_topic
from crm_shared.mongo import Document, Lookup
from crm_shared.projections import DocumentProjection
from customer360_service.projections.customer import fold
from customer360_service.projections.timeline import row
from customer360_service.projections.times import earliest

NAME = "customer360-service.customers"
CUSTOMERS = "customers"
LOOKUP = "customers_lookup"
TIMELINE = "timeline"
SOURCES = ("contacts", "interactions", "segmentation", "feedback")

# What happens to customers. Definitions of segments and surveys have ids of their own and concern nobody alone.
HANDLES = frozenset(
    event_type_of(model).ce_type
    for model in (
        contacts.CustomerIdentified,
        contacts.CustomerDetailsChanged,
        contacts.IdentityLinked,
        contacts.CustomerTagged,
        contacts.CustomerUntagged,
        contacts.PreferencesChanged,
        interactions.InteractionLogged,
        interactions.PurchaseRecorded,
        segmentation.CustomerEnteredSegment,
        segmentation.CustomerLeftSegment,
        feedback.SurveyAnswered,
    )
)

# Every index slows the projection down: one for each way of asking, and none to spare.
_INDEXES = {
    LOOKUP: [
        IndexModel("search"),
        IndexModel([("identified_at", ASCENDING), ("_id", ASCENDING)]),
    ],
    TIMELINE: [
        IndexModel([("customer_id", ASCENDING), ("occurred_at", DESCENDING), ("position", DESCENDING)]),
        IndexModel("occurred_at"),
    ],
}


def found_by(document: Document) -> Document:
    """What a customer is searched, listed and counted by.

    `identified_at` is when contacts first knew of it, None when it does not; `seen_at` is when any source first did.
    """
    contacts = document.get("contacts") or {}
    return {
        "search": contacts.get("search") or [],
        "identifiers": contacts.get("identifiers") or [],
        "identified_at": contacts.get("first_at"),
        "seen_at": earliest(*(document[one]["first_at"] for one in SOURCES if one in document)),
    }


def customers(database: AsyncDatabase[Document]) -> DocumentProjection:
    """The projection that keeps the collections `customers`, `customers_lookup` and `timeline`."""
    return DocumentProjection(
        database,
        name=NAME,
        topics=[events_topic(source) for source in SOURCES],
        handles=HANDLES,
        collection=CUSTOMERS,
        fold=fold,
        rows=(TIMELINE, row),
        lookup=Lookup(LOOKUP, found_by),
        indexes=_INDEXES,
    )
