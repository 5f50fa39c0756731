"""The view of memberships: which segments each customer is in, and since when."""

from datetime import datetime
from typing import NotRequired, TypedDict

from pymongo import IndexModel

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.segmentation import CustomerEnteredSegment, CustomerLeftSegment
from crm_shared.projections import Document, Lookup, Projection, unexpected


class MembershipDocument(TypedDict):
    """The segments that a customer is in, by their keys, and since when. `_id` is the customer's id."""

    _id: NotRequired[str]
    since: dict[str, datetime]
    positions: NotRequired[dict[str, int]]


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer's memberships after the event."""
    since: dict[str, datetime] = dict((document or {}).get("since", {}))
    match event.payload:
        case CustomerEnteredSegment(segment_key=key):
            since[key] = event.occurred_at
        case CustomerLeftSegment(segment_key=key):
            since.pop(key, None)
        case _:
            unexpected(event)
    return {**(document or {}), **MembershipDocument(since=since)}


def found_by(document: Document) -> Document:
    """What a customer is found by as a member, with what a list of members shows."""
    return {"member_of": sorted(document["since"]), "since": document["since"]}


MEMBERS = Projection(
    name="segmentation-service.members",
    events=[CustomerEnteredSegment, CustomerLeftSegment],
    collection="members",
    fold=fold,
    lookup=Lookup("members_lookup", found_by),
    indexes={"members_lookup": [IndexModel([("member_of", 1), ("_id", 1)])]},
)
