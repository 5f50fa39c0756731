"""The segments that a customer is in: the section `segmentation`, and what each of its events makes of it."""

from datetime import datetime
from typing import TypedDict

from crm_contracts.events.segmentation import CustomerEnteredSegment


class MembershipDocument(TypedDict):
    """A segment that the customer is in. `name` is as it was on entering, `since` when that was."""

    name: str
    since: datetime


class SegmentationSection(TypedDict, total=False):
    """The section `segmentation`. `segments` maps the segment's key to the membership."""

    segments: dict[str, MembershipDocument]
    first_at: datetime
    """When the earliest of its events happened: every section has it."""


def entered(section: SegmentationSection, data: CustomerEnteredSegment, at: datetime) -> SegmentationSection:
    """With a membership."""
    membership: MembershipDocument = {"name": data.segment_name, "since": at}
    return {**section, "segments": {**section.get("segments", {}), data.segment_key: membership}}


def left(section: SegmentationSection, segment_key: str) -> SegmentationSection:
    """Without a membership."""
    segments = section.get("segments", {})
    return {**section, "segments": {key: membership for key, membership in segments.items() if key != segment_key}}
