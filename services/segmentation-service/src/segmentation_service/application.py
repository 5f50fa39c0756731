"""The commands of segmentation-service: what each reads, decides and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from crm_shared.application import Command, Unit
from crm_shared.domain import NotFound
from segmentation_service.domain import Change, Memberships, Segment, SegmentFacts


@dataclass(frozen=True, slots=True)
class SegmentDefined:
    """The definition is stored; `created` tells whether the segment is new."""

    segment_id: str
    key: str
    version: int
    created: bool


@dataclass(frozen=True, slots=True)
class DefineSegment(Command[SegmentDefined]):
    """Define a segment, or define it anew; the same definition again changes nothing."""

    facts: SegmentFacts

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.facts.id,)

    def decide(self, unit: Unit) -> SegmentDefined:
        segment = unit.find(Segment, self.facts.id)
        created = segment is None
        if segment is None:
            segment = Segment.define(self.facts)
        else:
            segment.redefine(self.facts)
        unit.save(segment)
        return SegmentDefined(str(segment.id), segment.key, segment.definition_version, created)


@dataclass(frozen=True, slots=True)
class SegmentRetired:
    """The segment is out of use."""

    segment_id: str
    key: str


@dataclass(frozen=True, slots=True)
class RetireSegment(Command[SegmentRetired]):
    """Take a segment out of use. Raises `NotFound` when there is none, or none in use."""

    key: str

    @property
    def reads(self) -> Sequence[UUID]:
        return (Segment.create_id(self.key),)

    def decide(self, unit: Unit) -> SegmentRetired:
        segment = unit.find(Segment, Segment.create_id(self.key))
        if segment is None:
            raise NotFound(f"there is no segment {self.key!r}")
        segment.retire()
        unit.save(segment)
        return SegmentRetired(str(segment.id), segment.key)


@dataclass(frozen=True, slots=True)
class MembershipsChanged:
    """The segments that the customer is in now, by their keys."""

    customer_id: str
    segments: list[str]


@dataclass(frozen=True, slots=True)
class ChangeMemberships(Command[MembershipsChanged]):
    """Bring a customer's memberships to where changes lead, which facts as of `decided_at` ask for.

    The same again changes nothing, and neither does what older facts ask for. `at` is when the facts came to be so;
    None for now.
    """

    customer_id: str
    changes: Sequence[Change]
    decided_at: Mapping[str, int]
    at: datetime | None = None

    @property
    def reads(self) -> Sequence[UUID]:
        return (Memberships.create_id(self.customer_id),)

    @property
    def occurred_at(self) -> datetime | None:
        return self.at

    def decide(self, unit: Unit) -> MembershipsChanged:
        memberships = unit.find(Memberships, Memberships.create_id(self.customer_id))
        if memberships is None:
            # A stream begins with the first that enters: who leaves what nobody is in needs none.
            if not any(change.member for change in self.changes):
                return MembershipsChanged(self.customer_id, [])
            memberships = Memberships.open(self.customer_id)
        for change in self.changes:
            memberships.change(change, self.decided_at)
        unit.save(memberships)
        return MembershipsChanged(self.customer_id, sorted(memberships.since))
