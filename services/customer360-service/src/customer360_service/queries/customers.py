"""One customer's 360, and lists of customers: by identifier, by search words, identified or not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pymongo import ASCENDING

from crm_contracts.envelope import rfc3339
from crm_shared.domain import InvalidInput, NotFound
from crm_shared.mongo import Document
from crm_shared.queries import View, read_cursor, read_place, write_cursor, write_place
from customer360_service.projections.contacts import ContactsSection, IdentifierDocument
from customer360_service.projections.customer import SECTIONS
from customer360_service.projections.feedback import FeedbackSection
from customer360_service.projections.interactions import InteractionsSection, LoggedDocument, PurchasesDocument
from customer360_service.projections.search import query_words, whole
from customer360_service.projections.segmentation import SegmentationSection
from customer360_service.projections.times import LONG_AGO, earliest, latest
from customer360_service.queries.identifiers import has_identifier
from customer360_service.queries.numbers import averages

MOST_WORDS = 8
_IN_LISTS = {
    "contacts.profile.name": 1,
    "contacts.identifiers": 1,
    "interactions": 1,
    "feedback.last_at": 1,
}
_ORDER = {"identified_at": ASCENDING, "_id": ASCENDING}
# Above every character that a word can hold.
_END = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which customers a list is to hold; what is None does not matter."""

    identified: bool = True
    identifier: str | None = None
    region: str | None = None
    text: str | None = None


async def customer(customers: View, customer_id: UUID) -> dict[str, Any]:
    """Everything known of a customer; raises `NotFound` for a customer whom no source has mentioned."""
    document = await customers.documents.find_one({"_id": str(customer_id)})
    if document is None:
        raise NotFound(f"nothing is known of a customer {customer_id}")
    return view(document)


async def customers(
    known: View, wanted: Wanted, *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` summaries in the order in which contacts first knew them, and the cursor of the next page.

    Raises `InvalidInput` for an identifier or search text that cannot name anybody, and for a foreign cursor.
    """
    conditions: list[dict[str, Any]] = []
    if wanted.identifier is not None or wanted.region is not None:
        conditions += has_identifier(wanted.identifier or "", wanted.region)
    if wanted.text is not None:
        conditions += _matches(wanted.text)
    entries: list[Document] = []
    this_list = ("customers", wanted.identified, wanted.identifier, wanted.region, wanted.text)
    for place in _places(cursor, wanted.identified, this_list):
        if (left := limit + 1 - len(entries)) > 0:
            # A stage of its own for each condition: stores that use an index for the first stage's fields only,
            # and only if it has all of them, use it for the first stage. Other stores join the stages themselves.
            pipeline: list[dict[str, Any]] = [{"$match": condition} for condition in (*conditions, place)]
            pipeline += [{"$sort": _ORDER}, {"$limit": left}, {"$project": {"identified_at": 1}}]
            entries += await (await known.lookup.aggregate(pipeline)).to_list()
    items = await _summaries(known, [entry["_id"] for entry in entries[:limit]])
    if len(entries) <= limit:
        return items, None
    last = entries[limit - 1]
    if wanted.identified:
        return items, write_place(last["identified_at"], last["_id"], of=this_list)
    return items, write_cursor(last["_id"], of=this_list)


async def _summaries(known: View, ids: list[str]) -> list[dict[str, Any]]:
    """The summaries of these customers, in this order, without those whose document is not written yet."""
    documents = {document["_id"]: document async for document in known.documents.find({"_id": {"$in": ids}}, _IN_LISTS)}
    return [summary(documents[customer_id]) for customer_id in ids if customer_id in documents]


def view(document: Document) -> dict[str, Any]:
    """The 360 as the API shows it: the sections side by side, and what combines them."""
    contacts: ContactsSection = document.get("contacts") or {}
    interactions: InteractionsSection = document.get("interactions") or {}
    segmentation: SegmentationSection = document.get("segmentation") or {}
    segments = sorted(segmentation.get("segments", {}).items())
    return {
        "customer_id": document["_id"],
        "identified": "contacts" in document,
        "identifiers": _identifiers(contacts.get("identifiers", [])),
        "profile": contacts.get("profile", {}),
        "tags": contacts.get("tags", []),
        "attributes": contacts.get("attributes", {}),
        "preferences": contacts.get("preferences"),
        "interactions": _interactions(interactions.get("interactions")),
        "purchases": _purchases(interactions.get("purchases")),
        "segments": [
            {"key": key, "name": membership["name"], "since": rfc3339(membership["since"])}
            for key, membership in segments
        ],
        "feedback": _feedback(document.get("feedback") or {}),
        "first_seen_at": _text(
            earliest(*(document[section]["first_at"] for section in SECTIONS if section in document))
        ),
        "last_activity_at": last_activity_at(document),
        "positions": document["positions"],
    }


def summary(document: Document) -> dict[str, Any]:
    """A customer in a list."""
    contacts: ContactsSection = document.get("contacts") or {}
    interactions: InteractionsSection = document.get("interactions") or {}
    purchases = _purchases(interactions.get("purchases"))
    return {
        "customer_id": document["_id"],
        "identified": "contacts" in document,
        "name": contacts.get("profile", {}).get("name"),
        "identifiers": _identifiers(contacts.get("identifiers", [])),
        "purchases": {"count": purchases["count"], "revenue": purchases["revenue"]},
        "last_activity_at": last_activity_at(document),
    }


def last_activity_at(document: Document) -> str | None:
    """When the customer last interacted, bought or answered."""
    return _text(latest(*((document.get(section) or {}).get("last_at") for section in ("interactions", "feedback"))))


def _identifiers(identifiers: list[IdentifierDocument]) -> list[dict[str, Any]]:
    return [
        {"type": identifier["type"], "value": identifier.get("value"), "system": identifier.get("system")}
        for identifier in identifiers
    ]


def _interactions(logged: LoggedDocument | None) -> dict[str, Any]:
    by_channel = sorted(logged["by_channel"].items()) if logged else []
    return {
        "count": logged["count"] if logged else 0,
        "last_at": rfc3339(logged["last_at"]) if logged else None,
        "by_channel": {
            channel: {"count": of_channel["count"], "last_at": rfc3339(of_channel["last_at"])}
            for channel, of_channel in by_channel
        },
    }


def _purchases(purchases: PurchasesDocument | None) -> dict[str, Any]:
    by_currency = sorted(purchases["by_currency"].items()) if purchases else []
    return {
        "count": purchases["count"] if purchases else 0,
        "revenue": {currency: sales["revenue"] for currency, sales in by_currency},
        "average": averages(
            {currency: Decimal(sales["revenue"]) for currency, sales in by_currency},
            {currency: sales["count"] for currency, sales in by_currency},
        ),
        "first_at": rfc3339(purchases["first_at"]) if purchases else None,
        "last_at": rfc3339(purchases["last_at"]) if purchases else None,
    }


def _feedback(section: FeedbackSection) -> dict[str, Any]:
    return {
        "count": section.get("count", 0),
        "last_at": _text(section.get("last_at")),
        "latest": {
            survey: {**response, "answered_at": rfc3339(response["answered_at"])}
            for survey, response in sorted(section.get("latest", {}).items())
        },
        "nps": section["nps"]["number"] if "nps" in section else None,
    }


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _places(cursor: str | None, identified: bool, this_list: Sequence[Any]) -> list[dict[str, Any]]:
    """Where a page is looked for, one query after the other.

    Customers first known at the same moment as the last customer of the previous page have a query of their own,
    because not every store uses an index for two alternatives. The unidentified have no such moment and are sorted by
    their ids.
    """
    if not identified:
        after = {"_id": {"$gt": read_cursor(cursor, str, of=this_list)[0]}} if cursor is not None else {}
        return [{"identified_at": None, **after}]
    if cursor is None:
        return [{"identified_at": {"$gte": LONG_AGO}}]
    moment, last_id = read_place(cursor, str, of=this_list)
    return [{"identified_at": moment, "_id": {"$gt": last_id}}, {"identified_at": {"$gt": moment}}]


def _matches(text: str) -> list[dict[str, Any]]:
    """Every word of the text begins a word of the customer's name, or one of the identifiers."""
    parts = text.split()
    if len(parts) > MOST_WORDS:
        raise InvalidInput.at("?q", "too_many_words", f"search for {MOST_WORDS} words at most")
    emails = [whole(part) for part in parts if "@" in part]
    wanted = [*emails, *query_words(" ".join(part for part in parts if "@" not in part))]
    if not any(wanted):
        raise InvalidInput.at("?q", "nothing_to_search", "a search needs a letter or a digit")
    # The longest word is likely to be the rarest. Its bounds lead through the index on stores that do not see them in a
    # regular expression, which then makes sure that one and the same word keeps within both.
    longest, *others = sorted(filter(None, wanted), key=len, reverse=True)
    bounds = {"search": {"$gte": longest, "$lt": longest + _END}}
    return [bounds, *({"search": {"$regex": f"^{re.escape(word)}"}} for word in (longest, *others))]
