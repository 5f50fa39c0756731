"""Snapshots: the state of a long stream as of one of its events, so that loading it stays bounded.

A snapshot is disposable: it is the stream's events that count. One that was taken of another layout of its aggregate's
state is passed over, and the whole stream is loaded.
"""

from dataclasses import dataclass
from uuid import UUID

from eventsourcing.persistence import Transcoder
from eventsourcing.utils import get_topic, resolve_topic

from crm_shared.domain.aggregate import Aggregate
from crm_shared.postgres.recorder import StoredSnapshot

# Stands in every aggregate's state and comes back from the stream itself.
_ID = "_id"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An aggregate as of one of its events; applied like an event, it comes instead of all up to that one."""

    originator_id: UUID
    originator_version: int
    aggregate: Aggregate

    def mutate(self, _: Aggregate | None) -> Aggregate:
        """The aggregate as it was."""
        return self.aggregate


def take(aggregate: Aggregate, position: int, transcoder: Transcoder) -> StoredSnapshot:
    """The aggregate's state, to be stored; `position` is that of its last event in the log."""
    state = {name: value for name, value in vars(aggregate).items() if name not in (_ID, "_pending_events")}
    return StoredSnapshot(aggregate.id, aggregate.version, _layout(type(aggregate)), transcoder.encode(state), position)


def restore(stored: StoredSnapshot, transcoder: Transcoder) -> Snapshot | None:
    """The snapshot in a stored snapshot row; None when its layout is another."""
    topic, _, _ = stored.layout.rpartition("#")
    kind: type[Aggregate] = resolve_topic(topic)
    if stored.layout != _layout(kind):
        return None
    aggregate = object.__new__(kind)
    vars(aggregate).update(transcoder.decode(bytes(stored.state)))
    vars(aggregate).update({_ID: stored.originator_id, "_pending_events": []})
    aggregate.restored()
    return Snapshot(stored.originator_id, stored.originator_version, aggregate)


def _layout(kind: type[Aggregate]) -> str:
    return f"{get_topic(kind)}#{kind.SNAPSHOT_LAYOUT}"
