"""What people and systems ask of contacts: everything known of one customer."""

from typing import Any
from uuid import UUID

from crm_contracts.envelope import rfc3339
from crm_shared.domain import NotFound
from crm_shared.queries import View


async def customer(customers: View, customer_id: UUID) -> dict[str, Any]:
    """Everything known of a customer; raises `NotFound`."""
    document = await customers.documents.find_one({"_id": str(customer_id)})
    if document is None:
        raise NotFound(f"there is no customer {customer_id}")
    created = document["created_at"]
    return {
        "customer_id": document["_id"],
        "identifiers": document["identifiers"],
        "profile": document["profile"],
        "tags": document["tags"],
        "attributes": document["attributes"],
        "preferences": document["preferences"],
        "created_at": rfc3339(created) if created else None,
        "updated_at": rfc3339(document["updated_at"]),
        "positions": document["positions"],
    }
