"""A customer's timeline: every event, newest first, each with a sentence made from its data."""

from typing import Any
from uuid import UUID

import orjson
from pymongo import DESCENDING

from crm_contracts.envelope import rfc3339
from crm_shared.domain import NotFound
from crm_shared.mongo import Document
from crm_shared.queries import View, read_place, write_place
from customer360_service.queries.sentences import sentence

_ORDER = [("occurred_at", DESCENDING), ("position", DESCENDING), ("source", DESCENDING)]


async def timeline(
    customers: View, customer_id: UUID, *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` events by the time they happened, newest first, and the cursor of the next page.

    At the same millisecond, events of one source stand in the reverse order of its log. Raises `NotFound` for a
    customer whom no source has mentioned.
    """
    this_list = ("timeline", str(customer_id))
    query: dict[str, Any] = {"customer_id": str(customer_id)}
    rows: list[Document] = []
    if cursor is not None:
        # The remaining events of the previous page's last moment come first, by a query of their own: not every store
        # uses an index for two alternatives. Positions are unique within a source only.
        moment, position, source = read_place(cursor, int, str, of=this_list)
        same_moment = {**query, "occurred_at": moment, "position": {"$lte": position}}
        sources = len(customers.projection.sources)
        left = await customers.rows.find(same_moment).sort(_ORDER).limit(limit + 1 + sources).to_list()
        rows = [row for row in left if (row["position"], row["source"]) < (position, source)]
        query["occurred_at"] = {"$lt": moment}
    if len(rows) <= limit:
        rows += await customers.rows.find(query).sort(_ORDER).limit(limit + 1 - len(rows)).to_list()
    if not rows and cursor is None:
        raise NotFound(f"nothing is known of a customer {customer_id}")
    items = [view(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    last = rows[limit - 1]
    return items, write_place(last["occurred_at"], last["position"], last["source"], of=this_list)


def view(row: Document) -> dict[str, Any]:
    """A row as the API shows it."""
    data = orjson.loads(row["data"])
    return {
        "event_id": row["_id"],
        "type": row["type"],
        "source": row["source"],
        "occurred_at": rfc3339(row["occurred_at"]),
        "recorded_at": rfc3339(row["recorded_at"]),
        "position": row["position"],
        "summary": sentence(row["type"], data),
        "data": data,
    }
