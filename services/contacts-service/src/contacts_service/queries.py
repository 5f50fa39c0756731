"""What people and systems ask of contacts."""

from typing import Any
from uuid import UUID

from pymongo.asynchronous.database import AsyncDatabase

from contacts_service.projections import COLLECTION
from crm_shared.contracts.envelope import rfc3339
from crm_shared.documents import Document
from crm_shared.errors import NotFound


async def customer(database: AsyncDatabase[Document], customer_id: UUID) -> dict[str, Any]:
    """Everything known of a customer; raises `NotFound`."""
    document = await database[COLLECTION].find_one({"_id": str(customer_id)})
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
