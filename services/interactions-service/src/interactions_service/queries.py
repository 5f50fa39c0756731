"""What people and systems ask of interactions: one activity by its id, a customer's activities newest first."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pymongo import DESCENDING
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.contracts.envelope import rfc3339
from crm_shared.documents import Document
from crm_shared.errors import InvalidInput, NotFound
from crm_shared.http.queries import read_cursor, write_cursor
from interactions_service.projections import COLLECTION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


async def purchase(database: AsyncDatabase[Document], purchase_id: UUID) -> dict[str, Any]:
    """The purchase; raises `NotFound`."""
    return await _activity(database, "purchase", purchase_id)


async def interaction(database: AsyncDatabase[Document], interaction_id: UUID) -> dict[str, Any]:
    """The interaction; raises `NotFound`."""
    return await _activity(database, "interaction", interaction_id)


async def _activity(database: AsyncDatabase[Document], kind: str, activity_id: UUID) -> dict[str, Any]:
    document = await database[COLLECTION].find_one({"_id": str(activity_id), "type": kind})
    if document is None:
        raise NotFound(f"there is no {kind} {activity_id}")
    return view(document)


async def activities(
    database: AsyncDatabase[Document], customer_id: UUID, *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` activities of the customer, newest first, and the cursor of the next page if there is one."""
    query: dict[str, Any] = {"customer_id": str(customer_id)}
    if cursor is not None:
        moment, last_id = read_place(cursor)
        query["$or"] = [{"occurred_at": {"$lt": moment}}, {"occurred_at": moment, "_id": {"$lt": last_id}}]
    order = [("occurred_at", DESCENDING), ("_id", DESCENDING)]
    found = await database[COLLECTION].find(query).sort(order).limit(limit + 1).to_list()
    items = [view(document) for document in found[:limit]]
    return items, write_place(found[limit - 1]) if len(found) > limit else None


def view(document: Document) -> dict[str, Any]:
    """The activity as the API shows it: its public payload with type, times and log position."""
    return {
        "type": document["type"],
        **document["data"],
        "occurred_at": rfc3339(document["occurred_at"]),
        "recorded_at": rfc3339(document["recorded_at"]),
        "position": document["positions"]["interactions"],
    }


def write_place(document: Document) -> str:
    """The cursor that continues after this activity."""
    return write_cursor((document["occurred_at"] - _EPOCH) // _MILLISECOND, document["_id"])


def read_place(cursor: str) -> tuple[datetime, str]:
    """Time and id of the last activity of the page before; raises `InvalidInput`."""
    milliseconds, last_id = read_cursor(cursor, int, str)
    try:
        return _EPOCH + milliseconds * _MILLISECOND, last_id
    except OverflowError:
        message = "the cursor is not one that this endpoint gave out"
        raise InvalidInput.at("?cursor", "malformed_cursor", message) from None
