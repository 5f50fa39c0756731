"""The records of a state topic: the last state of each aggregate that a page of the log touches."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from crm_contracts.envelope import Record, encode
from crm_shared.domain.aggregate import Aggregate
from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.publishing.publication import StatePublishing

AGGREGATES_KEPT = 2_000


class States:
    """Renders state records: the last state of each aggregate that a page touches, as of its last event there."""

    def __init__(self, application: EventSourcedApplication, states: StatePublishing) -> None:
        self._application = application
        self._states = states
        self._kept: OrderedDict[UUID, Aggregate] = OrderedDict()

    def render(self, events: Sequence[tuple[Any, int]]) -> list[Record]:
        last: dict[UUID, tuple[Any, int]] = {}
        for event, position in events:
            if isinstance(event, self._states.aggregate.Event):
                self._advance(event)
                last[event.originator_id] = (event, position)
        records = []
        for stream_id, (event, position) in last.items():
            publication = self._states.render(self._kept[stream_id])
            records.append(encode(event, position, publication.key, publication.data))
        while len(self._kept) > AGGREGATES_KEPT:
            self._kept.popitem(last=False)
        return records

    def _advance(self, event: Any) -> None:
        stream_id: UUID = event.originator_id
        held = self._kept.get(stream_id)
        version = held.version if held else 0
        if version == event.originator_version - 1:
            held = event.mutate(held)
        elif version < event.originator_version:
            for older, _ in self._application.load({stream_id: version}):
                if older.originator_version <= event.originator_version:
                    held = older.mutate(held)
        else:
            # Sent again after a failure: the state as of an earlier event has to be built anew.
            held = None
            for older, _ in self._application.load({stream_id: 0}):
                if older.originator_version <= event.originator_version:
                    held = older.mutate(held)
        assert held is not None
        self._kept[stream_id] = held
        self._kept.move_to_end(stream_id)
