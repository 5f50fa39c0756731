"""The view of activities: one document per purchase and interaction, as its customer's history lists them."""

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.registry import event_type_of, events_topic
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection

NAME = "interactions-service.activities"
COLLECTION = "activities"
HANDLES = frozenset(event_type_of(model).ce_type for model in (PurchaseRecorded, InteractionLogged))


def activities(database: AsyncDatabase[Document]) -> DocumentProjection:
    """The projection that keeps the collection `activities`."""
    return DocumentProjection(
        database,
        name=NAME,
        topics=[events_topic("interactions")],
        handles=HANDLES,
        collection=COLLECTION,
        fold=fold,
        document_id=activity_id,
        # An activity is written once: holding it longer than a batch takes memory and saves nothing.
        kept=0,
        indexes={
            COLLECTION: [IndexModel([("customer_id", ASCENDING), ("occurred_at", DESCENDING), ("_id", DESCENDING)])]
        },
    )


def activity_id(event: PublicEvent) -> str:
    """The id of the purchase or interaction that the event is about."""
    match event.name:
        case "PurchaseRecorded":
            return str(event.data["purchase_id"])
        case "InteractionLogged":
            return str(event.data["interaction_id"])
        case unknown:
            raise ValueError(f"{unknown} is not an activity")


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The activity after the event; `data` is the public payload as it came."""
    match event.name:
        case "PurchaseRecorded":
            kind = "purchase"
        case "InteractionLogged":
            kind = "interaction"
        case unknown:
            raise ValueError(f"{unknown} is not an activity")
    return {
        **(document or {}),
        "type": kind,
        "customer_id": event.key,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "data": event.data,
    }
