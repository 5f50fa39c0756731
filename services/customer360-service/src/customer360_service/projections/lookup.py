"""What customers are searched, listed and counted by."""

from datetime import datetime
from typing import NotRequired, TypedDict

from crm_shared.projections import Document
from customer360_service.projections.contacts import ContactsSection, IdentifierDocument
from customer360_service.projections.customer import SECTIONS
from customer360_service.projections.times import earliest


class LookupEntry(TypedDict):
    """What one customer is found by; `_id` is the customer's.

    `identified_at` is when contacts first knew of it, None when it does not; `seen_at` is when any source first did.
    """

    _id: NotRequired[str]
    search: list[str]
    identifiers: list[IdentifierDocument]
    identified_at: datetime | None
    seen_at: datetime | None
    revision: NotRequired[int]


def found_by(document: Document) -> Document:
    """The fields of the `LookupEntry` of a customer's document."""
    contacts: ContactsSection = document.get("contacts") or {}
    entry: LookupEntry = {
        "search": contacts.get("search", []),
        "identifiers": contacts.get("identifiers", []),
        "identified_at": contacts.get("first_at"),
        "seen_at": earliest(*(document[section]["first_at"] for section in SECTIONS if section in document)),
    }
    return {**entry}
