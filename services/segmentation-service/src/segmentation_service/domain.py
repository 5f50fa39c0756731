"""Segments and memberships: how a segment is defined and retired, and who belongs to which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_shared.domain import Aggregate, NotFound, derived_id


class Segment(Aggregate):
    """A segment's definition; each new one has a higher version."""

    TOPIC = "segmentation.Segment"

    class Event(Aggregate.Event):
        """Base of its events."""

        def apply(self, aggregate: "Segment") -> None:
            """Change the segment by this event."""

    class Created(Event, Aggregate.Created):
        """The segment was defined for the first time."""

        TOPIC = "segmentation.SegmentDefined.v1"
        key: str
        name: str
        description: str | None
        condition: dict[str, Any]

    class Redefined(Event):
        """The segment was defined anew; a retired one is in use again."""

        TOPIC = "segmentation.SegmentRedefined.v1"
        key: str
        name: str
        description: str | None
        condition: dict[str, Any]
        definition_version: int

        def apply(self, aggregate: "Segment") -> None:
            aggregate.name = self.name
            aggregate.description = self.description
            aggregate.condition = self.condition
            aggregate.definition_version = self.definition_version
            aggregate.retired = False

    class Retired(Event):
        """The segment is no longer in use."""

        TOPIC = "segmentation.SegmentRetired.v1"
        key: str

        def apply(self, aggregate: "Segment") -> None:
            aggregate.retired = True

    def __init__(self, key: str, name: str, description: str | None, condition: dict[str, Any]) -> None:
        self.key = key
        self.name = name
        self.description = description
        self.condition = condition
        self.definition_version = 1
        self.retired = False

    @staticmethod
    def create_id(key: str) -> UUID:
        """One segment per key."""
        return derived_id("segment", key)

    @classmethod
    def define(cls, key: str, *, name: str, description: str | None, condition: dict[str, Any]) -> "Segment":
        """A new segment, version 1."""
        return cls._create(
            cls.Created, id=cls.create_id(key), key=key, name=name, description=description, condition=condition
        )

    def redefine(self, *, name: str, description: str | None, condition: dict[str, Any]) -> bool:
        """Define it anew; False when it is in use exactly like this already."""
        same = (self.name, self.description, self.condition) == (name, description, condition)
        if same and not self.retired:
            return False
        self.trigger_event(
            self.Redefined,
            key=self.key,
            name=name,
            description=description,
            condition=condition,
            definition_version=self.definition_version + 1,
        )
        return True

    def retire(self) -> None:
        """Take it out of use; raises `NotFound` when it is already."""
        if self.retired:
            raise NotFound(f"segment {self.key} has been retired")
        self.trigger_event(self.Retired, key=self.key)


@dataclass(frozen=True, slots=True)
class Change:
    """That a customer should be in a segment from now on, or not, and the values that decided."""

    segment_key: str
    segment_name: str
    definition_version: int
    member: bool
    because: str
    values: Sequence[dict[str, Any]]


class Memberships(Aggregate):
    """The segments that one customer is in.

    `decided_at` are the log positions, per source, of the facts behind the latest decisions: a view that is
    being rebuilt from history does not decide again before it has come as far.
    """

    TOPIC = "segmentation.Memberships"

    class Event(Aggregate.Event):
        """Base of its events."""

        def apply(self, aggregate: "Memberships") -> None:
            """Change the memberships by this event."""

    class Created(Event, Aggregate.Created):
        """The first time that anything was decided about the customer."""

        TOPIC = "segmentation.MembershipsOpened.v1"
        customer_id: str

    class Entered(Event):
        """The customer began to meet a condition."""

        TOPIC = "segmentation.CustomerEnteredSegment.v1"
        customer_id: str
        segment_key: str
        segment_name: str
        definition_version: int
        because: str
        values: list[dict[str, Any]]
        decided_at: dict[str, int]

        def apply(self, aggregate: "Memberships") -> None:
            aggregate.since[self.segment_key] = self.occurred_at
            aggregate._decided(self.decided_at)

    class Left(Event):
        """The customer ceased to meet a condition, or its segment was retired."""

        TOPIC = "segmentation.CustomerLeftSegment.v1"
        customer_id: str
        segment_key: str
        segment_name: str
        definition_version: int
        because: str
        values: list[dict[str, Any]]
        decided_at: dict[str, int]

        def apply(self, aggregate: "Memberships") -> None:
            aggregate.since.pop(self.segment_key, None)
            aggregate._decided(self.decided_at)

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.since: dict[str, datetime] = {}
        self.decided_at: dict[str, int] = {}

    @staticmethod
    def create_id(customer_id: str) -> UUID:
        """One per customer."""
        return derived_id("memberships", customer_id)

    @classmethod
    def open(cls, customer_id: str) -> "Memberships":
        """The memberships of a customer who has none yet."""
        return cls._create(cls.Created, id=cls.create_id(customer_id), customer_id=customer_id)

    def change(self, change: Change, decided_at: Mapping[str, int]) -> None:
        """Enter or leave; nothing happens when the customer already is where the change would lead."""
        if (change.segment_key in self.since) == change.member:
            return
        self.trigger_event(
            self.Entered if change.member else self.Left,
            customer_id=self.customer_id,
            segment_key=change.segment_key,
            segment_name=change.segment_name,
            definition_version=change.definition_version,
            because=change.because,
            values=list(change.values),
            decided_at=dict(decided_at),
        )

    def _decided(self, positions: Mapping[str, int]) -> None:
        for source, position in positions.items():
            self.decided_at[source] = max(position, self.decided_at.get(source, 0))
