"""The aggregate base of every service: `eventsourcing`'s, with the command's context on each event."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate as LibraryAggregate
from eventsourcing.domain import CanMutateAggregate
from eventsourcing.utils import get_topic, resolve_topic

from crm_shared.domain.context import current_context


class Aggregate(LibraryAggregate):
    """An event-sourced aggregate whose events say when they happened and what caused them.

    Subclasses declare a permanent `TOPIC` for themselves and for each event class. `trigger_event` and the
    constructor add `occurred_at` (the command's, else the time of storing) and `context`.

    An aggregate whose streams grow long sets `SNAPSHOT_LAYOUT`, raises it whenever its attributes change, and makes
    again in `restored` what JSON does not keep.
    """

    SNAPSHOT_LAYOUT: ClassVar[int] = 0
    """0: its streams stay short and get no snapshots."""

    def restored(self) -> None:
        """The attributes were set from a snapshot: turn those that JSON does not keep into what they were."""

    class Event(LibraryAggregate.Event):
        """Base of all events: `timestamp` is when it was recorded, `occurred_at` when it happened."""

        occurred_at: datetime
        context: dict[str, str]

    class Created(Event, LibraryAggregate.Created):
        """Base of the first event of every aggregate."""

    def trigger_event(self, event_class: type[CanMutateAggregate[UUID]], **kwargs: Any) -> None:
        super().trigger_event(event_class, **_stamped(event_class, kwargs))

    @classmethod
    def _create(cls, event_class: type[Any], *, id: UUID | None = None, **kwargs: Any) -> Self:
        # The library's steps, without those for an id that is made of the event's attributes, which cost as much again.
        if resolve_topic(event_class.TOPIC) is not event_class:
            raise TypeError(f"{event_class} has no topic of its own")
        event = event_class(
            originator_id=id or cls.create_id(),
            originator_version=cls.INITIAL_VERSION,
            originator_topic=get_topic(cls),
            **_stamped(event_class, kwargs),
        )
        aggregate: Self = event.mutate(None)
        aggregate.pending_events.append(event)
        return aggregate


def _stamped(event_class: type[CanMutateAggregate[UUID]], kwargs: dict[str, Any]) -> dict[str, Any]:
    context, occurred_at = current_context()
    timestamp = kwargs.get("timestamp") or event_class.create_timestamp()
    return {
        **kwargs,
        "timestamp": timestamp,
        "occurred_at": occurred_at or timestamp,
        "context": context.stamp(),
    }
