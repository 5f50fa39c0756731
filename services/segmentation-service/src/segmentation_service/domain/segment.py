"""The segment: a definition under a readable key, with a version that rises whenever it is defined anew."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_shared.domain import Aggregate, NotFound, derived_id


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What people define; `condition` is the checked condition as JSON has it, `key` says which segment it is."""

    key: str
    name: str
    description: str | None
    condition: dict[str, Any]

    @property
    def id(self) -> UUID:
        """The segment's id, always the same for one key."""
        return derived_id("segment", self.key)


@dataclass(eq=False)
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

    key: str
    name: str
    description: str | None
    condition: dict[str, Any]
    definition_version: int = field(default=1, init=False)
    retired: bool = field(default=False, init=False)

    @staticmethod
    def create_id(key: str) -> UUID:
        """One segment per key."""
        return derived_id("segment", key)

    @classmethod
    def define(cls, facts: SegmentFacts) -> "Segment":
        """A new segment, version 1."""
        return cls._create(cls.Created, id=facts.id, key=facts.key, **_definition(facts))

    def redefine(self, facts: SegmentFacts) -> None:
        """Define it anew; nothing happens when it is in use exactly like this already."""
        definition = _definition(facts)
        if not self.retired and all(getattr(self, name) == value for name, value in definition.items()):
            return
        version = self.definition_version + 1
        self.trigger_event(self.Redefined, key=self.key, definition_version=version, **definition)

    def retire(self) -> None:
        """Take it out of use; raises `NotFound` when it is already."""
        if self.retired:
            raise NotFound(f"segment {self.key} has been retired")
        self.trigger_event(self.Retired, key=self.key)


def _definition(facts: SegmentFacts) -> dict[str, Any]:
    return {"name": facts.name, "description": facts.description, "condition": facts.condition}
