"""What people and systems ask of interactions: one activity by its id, a customer's activities newest first."""

from typing import Any
from uuid import UUID

from pymongo import DESCENDING

from crm_contracts.envelope import rfc3339
from crm_shared.domain import NotFound
from crm_shared.mongo import Document
from crm_shared.queries import View, read_place, write_place


async def purchase(activities: View, purchase_id: UUID) -> dict[str, Any]:
    """The purchase; raises `NotFound`."""
    return await _activity(activities, "purchase", purchase_id)


async def interaction(activities: View, interaction_id: UUID) -> dict[str, Any]:
    """The interaction; raises `NotFound`."""
    return await _activity(activities, "interaction", interaction_id)


async def _activity(activities: View, kind: str, activity_id: UUID) -> dict[str, Any]:
    document = await activities.documents.find_one({"_id": str(activity_id), "type": kind})
    if document is None:
        raise NotFound(f"there is no {kind} {activity_id}")
    return view(document)


async def of_customer(
    activities: View, customer_id: UUID, *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` activities of the customer, newest first, and the cursor of the next page if there is one."""
    collection = activities.documents
    this_list = ("activities", str(customer_id))
    query: dict[str, Any] = {"customer_id": str(customer_id)}
    documents: list[Document] = []
    if cursor is not None:
        # What is left of the page before's last moment comes first, on its own: not every store finds the two
        # conditions together by an index.
        moment, last_id = read_place(cursor, str, of=this_list)
        same_moment = {**query, "occurred_at": moment, "_id": {"$lt": last_id}}
        documents = await collection.find(same_moment).sort("_id", DESCENDING).limit(limit + 1).to_list()
        query["occurred_at"] = {"$lt": moment}
    if len(documents) <= limit:
        order = [("occurred_at", DESCENDING), ("_id", DESCENDING)]
        documents += await collection.find(query).sort(order).limit(limit + 1 - len(documents)).to_list()
    items = [view(document) for document in documents[:limit]]
    if len(documents) <= limit:
        return items, None
    last = documents[limit - 1]
    return items, write_place(last["occurred_at"], last["_id"], of=this_list)


def view(document: Document) -> dict[str, Any]:
    """The activity as the API shows it: its public payload with type, times and log position."""
    return {
        "type": document["type"],
        **document["data"],
        "occurred_at": rfc3339(document["occurred_at"]),
        "recorded_at": rfc3339(document["recorded_at"]),
        "position": document["positions"]["interactions"],
    }
