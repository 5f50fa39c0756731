"""A customer's document and its fold: one section per source, each touched by that source's events only.

Sources are not ordered among each other, so nothing in one section may depend on another: then every interleaving
of them gives the same document. What combines sections is computed when it is asked for.
"""

from typing import Any, NotRequired, TypedDict

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.contacts import (
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    IdentityLinked,
    PreferencesChanged,
)
from crm_contracts.events.feedback import SurveyAnswered
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.events.segmentation import CustomerEnteredSegment, CustomerLeftSegment
from crm_shared.projections import Document, unexpected
from customer360_service.projections import contacts, feedback, interactions, segmentation
from customer360_service.projections.contacts import ContactsSection
from customer360_service.projections.feedback import FeedbackSection
from customer360_service.projections.interactions import InteractionsSection
from customer360_service.projections.segmentation import SegmentationSection
from customer360_service.projections.times import earlier, stored

SECTIONS = ("contacts", "interactions", "segmentation", "feedback")
"""The sections of a document, each named as its source and there once that has spoken."""


class Customer(TypedDict):
    """The customer 360. `_id` is the customer's id; `positions` is the last log position applied of each source."""

    _id: NotRequired[str]
    contacts: NotRequired[ContactsSection]
    interactions: NotRequired[InteractionsSection]
    segmentation: NotRequired[SegmentationSection]
    feedback: NotRequired[FeedbackSection]
    positions: NotRequired[dict[str, int]]
    revision: NotRequired[int]


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer's document (`Customer`) after the event."""
    before = document or {}
    section: Any = before.get(event.service) or {}
    at = stored(event.occurred_at)
    after: ContactsSection | InteractionsSection | SegmentationSection | FeedbackSection
    payload = event.payload
    match payload:
        case PurchaseRecorded():
            after = interactions.bought(section, payload, at)
        case InteractionLogged():
            after = interactions.contacted(section, payload, at)
        case CustomerIdentified():
            after = contacts.identified(section, payload)
        case CustomerDetailsChanged():
            after = contacts.details_changed(section, payload)
        case IdentityLinked(identifier=identifier):
            after = contacts.linked(section, identifier)
        case CustomerTagged(tag=tag):
            after = contacts.tagged(section, tag)
        case CustomerUntagged(tag=tag):
            after = contacts.untagged(section, tag)
        case PreferencesChanged(preferences=preferences):
            after = contacts.preferring(section, preferences)
        case CustomerEnteredSegment():
            after = segmentation.entered(section, payload, at)
        case CustomerLeftSegment(segment_key=key):
            after = segmentation.left(section, key)
        case SurveyAnswered():
            after = feedback.answered(section, payload, at)
        case _:
            unexpected(event)
    after["first_at"] = earlier(at, section.get("first_at"))
    return {**before, event.service: after}
