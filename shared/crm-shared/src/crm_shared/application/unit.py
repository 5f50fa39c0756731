"""The unit of work: what one command sees and saves."""

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from crm_shared.application.held import EventId, HeldAggregates
from crm_shared.domain.aggregate import Aggregate
from crm_shared.domain.errors import NotFound

A = TypeVar("A", bound=Aggregate)


class Unit:
    """What one command sees and saves: aggregates as they stand after the commands before it in the batch."""

    def __init__(self, held: HeldAggregates) -> None:
        self._held = held
        self.events: list[Any] = []
        """The events saved so far, in log order."""
        self.touched: dict[UUID, Aggregate] = {}
        """The aggregates looked at or saved so far."""
        self._noted: set[UUID] = set()
        self._repeated: list[EventId] | None = None

    def find(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """The aggregate, or None when it has never been created."""
        aggregate = self.touched.get(aggregate_id) or self._held.find(aggregate_id)
        if aggregate is None:
            return None
        if not isinstance(aggregate, kind):
            raise TypeError(f"{aggregate_id} is a {type(aggregate).__name__}, not a {kind.__name__}")
        self.touched[aggregate_id] = aggregate
        return aggregate

    def get(self, kind: type[A], aggregate_id: UUID) -> A:
        """The aggregate; raises `NotFound` when it has never been created."""
        aggregate = self.find(kind, aggregate_id)
        if aggregate is None:
            raise NotFound(f"there is no {kind.__name__.lower()} {aggregate_id}")
        return aggregate

    def save(self, *aggregates: Aggregate) -> None:
        """Put these aggregates' new events into the batch, in the order given.

        The command answers with the position of the last one: save what is public last.
        """
        for aggregate in aggregates:
            self.touched[aggregate.id] = aggregate
            self.events.extend(aggregate.collect_events())

    def note(self, aggregate: Aggregate) -> None:
        """Put an aggregate's new events before all others, where they do not count as the command's position."""
        self.touched[aggregate.id] = aggregate
        self._noted.add(aggregate.id)
        self.events[:0] = aggregate.collect_events()

    def repeat(self, answered_with: Iterable[EventId]) -> None:
        """Answer with the position of an earlier command, whose `answered_with` this was."""
        self._repeated = list(answered_with)

    @property
    def answered_with(self) -> list[EventId]:
        """The events of which the latest one's position is the command's: known before they have a position."""
        if self._repeated is not None:
            return self._repeated
        for event in reversed(self.events):
            if event.originator_id not in self._noted:
                return [(event.originator_id, event.originator_version)]
        return [
            (aggregate_id, aggregate.version)
            for aggregate_id, aggregate in self.touched.items()
            if aggregate_id not in self._noted
        ]

    @property
    def changed(self) -> set[UUID]:
        """The aggregates that this command has changed so far, saved or not."""
        changed = {event.originator_id for event in self.events}
        changed.update(aggregate_id for aggregate_id, aggregate in self.touched.items() if aggregate.pending_events)
        return changed
