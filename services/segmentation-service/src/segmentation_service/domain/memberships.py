"""Memberships: which segments one customer is in, since when, and the values that decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_shared.domain import Aggregate, derived_id


@dataclass(frozen=True, slots=True)
class Change:
    """That a customer should be in a segment from now on, or not, and the values that decided."""

    segment_key: str
    segment_name: str
    definition_version: int
    member: bool
    because: str
    values: Sequence[dict[str, Any]]


@dataclass(eq=False)
class Memberships(Aggregate):
    """The segments that one customer is in.

    `decided_at` are the log positions, per source, of the facts behind the latest decisions: nothing is decided again
    from facts that are older.
    """

    TOPIC = "segmentation.Memberships"
    SNAPSHOT_LAYOUT = 1

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

    customer_id: str
    since: dict[str, datetime] = field(default_factory=dict, init=False)
    decided_at: dict[str, int] = field(default_factory=dict, init=False)

    @staticmethod
    def create_id(customer_id: str) -> UUID:
        """One per customer."""
        return derived_id("memberships", customer_id)

    @classmethod
    def open(cls, customer_id: str) -> "Memberships":
        """The memberships of a customer who has none yet."""
        return cls._create(cls.Created, id=cls.create_id(customer_id), customer_id=customer_id)

    def change(self, change: Change, decided_at: Mapping[str, int]) -> None:
        """Enter or leave, by facts as of these positions.

        Nothing happens when the customer already is where the change would lead, so the same decision again has no
        effect; nor when later facts have decided.
        """
        if (change.segment_key in self.since) == change.member or self.knows_later_than(decided_at):
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

    def knows_later_than(self, positions: Mapping[str, int]) -> bool:
        """Whether later facts than those up to these positions have decided."""
        return is_behind(positions, self.decided_at)

    def _decided(self, positions: Mapping[str, int]) -> None:
        for source, position in positions.items():
            self.decided_at[source] = max(position, self.decided_at.get(source, 0))


def is_behind(positions: Mapping[str, int], decided_at: Mapping[str, int]) -> bool:
    """Whether facts up to these positions are older than those that decided, in any source."""
    return any(positions.get(source, 0) < position for source, position in decided_at.items())
