"""The view of activities: one document per purchase and interaction, as its customer's history lists them."""

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from pymongo import ASCENDING, DESCENDING, IndexModel

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_shared.projections import Document, Projection, unexpected


class Activity(TypedDict):
    """A purchase or interaction; `data` is its public payload as it came. `_id` is the activity's own id."""

    _id: NotRequired[str]
    type: Literal["purchase", "interaction"]
    customer_id: str
    occurred_at: datetime
    recorded_at: datetime
    data: dict[str, Any]
    positions: NotRequired[dict[str, int]]


def activity_id(event: PublicEvent) -> str:
    """The id of the purchase or interaction that the event is about."""
    match event.payload:
        case PurchaseRecorded(purchase_id=activity) | InteractionLogged(interaction_id=activity):
            return activity
        case _:
            unexpected(event)


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The activity after the event."""
    match event.payload:
        case PurchaseRecorded():
            return {**(document or {}), **_activity("purchase", event)}
        case InteractionLogged():
            return {**(document or {}), **_activity("interaction", event)}
        case _:
            unexpected(event)


def _activity(kind: Literal["purchase", "interaction"], event: PublicEvent) -> Activity:
    return {
        "type": kind,
        "customer_id": event.key,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "data": event.data,
    }


ACTIVITIES = Projection(
    name="interactions-service.activities",
    events=[PurchaseRecorded, InteractionLogged],
    collection="activities",
    fold=fold,
    document_id=activity_id,
    # Holding an activity longer than a batch takes memory and saves nothing.
    written_once=True,
    kept=0,
    # Who asks with ?after= lets the consumer of the same process hurry; of another one, it waits so long at most.
    gather_seconds=0.25,
    indexes={
        "activities": [IndexModel([("customer_id", ASCENDING), ("occurred_at", DESCENDING), ("_id", DESCENDING)])]
    },
)
