"""What people do with segments, and what the evaluation decides: one method per use case."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_shared.application import Unit
from crm_shared.domain import NotFound
from crm_shared.postgres import EventSourcedApplication
from segmentation_service.domain import Change, Memberships, Segment


@dataclass(frozen=True, slots=True)
class Defined:
    """A definition as it stands, and whether the segment is new."""

    segment_id: UUID
    version: int
    created: bool


class Segmentation(EventSourcedApplication):
    """The event store of segmentation and its use cases. Each runs on the writer's thread."""

    name = "segmentation"

    def define(self, unit: Unit, key: str, *, name: str, description: str | None, condition: dict[str, Any]) -> Defined:
        """Define a segment, or define it anew; the same definition again changes nothing."""
        segment = unit.find(Segment, Segment.create_id(key))
        if segment is None:
            segment = Segment.define(key, name=name, description=description, condition=condition)
            unit.save(segment)
            return Defined(segment.id, segment.definition_version, created=True)
        segment.redefine(name=name, description=description, condition=condition)
        unit.save(segment)
        return Defined(segment.id, segment.definition_version, created=False)

    def retire(self, unit: Unit, key: str) -> UUID:
        """Take a segment out of use; raises `NotFound`."""
        segment = unit.find(Segment, Segment.create_id(key))
        if segment is None:
            raise NotFound(f"there is no segment {key!r}")
        segment.retire()
        unit.save(segment)
        return segment.id

    def change_memberships(
        self, unit: Unit, customer_id: str, changes: Sequence[Change], decided_at: Mapping[str, int]
    ) -> Memberships:
        """Bring a customer's memberships to where the changes lead, and return them as they are then."""
        memberships = unit.find(Memberships, Memberships.create_id(customer_id)) or Memberships.open(customer_id)
        for change in changes:
            memberships.change(change, decided_at)
        unit.save(memberships)
        return memberships

    def memberships_of(self, customer_ids: Iterable[str]) -> dict[str, Memberships]:
        """What has been decided about these customers so far; those without any decision are missing.

        Reads the store: call it on a thread.
        """
        found: dict[UUID, Memberships] = {}
        for event, _ in self.load({Memberships.create_id(one): 0 for one in customer_ids}):
            found[event.originator_id] = event.mutate(found.get(event.originator_id))
        return {memberships.customer_id: memberships for memberships in found.values()}

    def memberships_after(self, versions: Mapping[str, int]) -> dict[str, Memberships]:
        """Those of these customers' memberships that are newer than the versions given.

        Reads the store: call it on a thread.
        """
        newer = self.load({Memberships.create_id(one): version for one, version in versions.items()})
        return self.memberships_of({event.customer_id for event, _ in newer}) if newer else {}

    def segment_events(self, after: int, limit: int = 500) -> list[tuple[Segment.Event, int]]:
        """The events of segments after a log position, with their positions. Reads the store: call it on a thread."""
        topics = [Segment.Created.TOPIC, Segment.Redefined.TOPIC, Segment.Retired.TOPIC]
        notes = self.recorder.select_notifications(start=after + 1, limit=limit, topics=topics)
        return [(self.domain_event(note), int(note.id)) for note in notes]

    def last_position(self) -> int:
        """The last position in the log. Reads the store: call it on a thread."""
        return int(self.recorder.max_notification_id() or 0)
