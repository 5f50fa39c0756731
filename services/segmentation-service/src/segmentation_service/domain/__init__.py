"""What a segment is and who belongs to it: definitions, memberships, and their rules."""

from segmentation_service.domain.memberships import Change, Memberships, is_behind
from segmentation_service.domain.segment import Segment, SegmentFacts

__all__ = ["Change", "Memberships", "Segment", "SegmentFacts", "is_behind"]
