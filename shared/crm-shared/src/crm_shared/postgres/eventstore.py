"""The event store of a service: `eventsourcing`'s application with our recorder and transcoder."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent, Transcoder

from crm_shared.domain.aggregate import Aggregate
from crm_shared.postgres.recorder import OrderedRecorder, StoredSnapshot
from crm_shared.postgres.snapshots import restore, take
from crm_shared.postgres.transcoder import OrjsonTranscoder


class EventSourcedApplication(Application[UUID]):
    """The event store of one service, which its commands load from and save to.

    Construct it with the service's name (`SERVICE`) and the PostgreSQL settings (`POSTGRES_HOST`, ...) as a mapping.
    """

    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "crm_shared.postgres.recorder:OrderedRecorder",
    }

    def __init__(self, env: Mapping[str, str]) -> None:
        # The library names the table of events after this: `contacts_events`, for good.
        self.name = env["SERVICE"]
        super().__init__(env)

    @cached_property
    def transcoder(self) -> Transcoder:
        """How events and snapshots become bytes."""
        return self.construct_transcoder()

    def construct_transcoder(self) -> Transcoder:
        return OrjsonTranscoder()

    @property
    def ordered_recorder(self) -> OrderedRecorder:
        """The recorder, as the type that it is."""
        return cast(OrderedRecorder, self.recorder)

    def domain_event(self, stored: StoredEvent) -> Any:
        """The domain event in a stored event."""
        return self.mapper.to_domain_event(stored)

    def put(self, events: Sequence[Any]) -> list[int]:
        """Store events of any number of aggregates in one transaction; their log positions, in order."""
        positions = self.ordered_recorder.insert_events([self.mapper.to_stored_event(event) for event in events])
        return list(positions)

    def load_latest(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """The same, where a stream of which nothing is held (version 0) may begin with a `Snapshot`."""
        loaded: list[tuple[Any, int]] = []
        passed_over: dict[UUID, int] = {}
        for stored in self.ordered_recorder.select_latest(versions):
            if isinstance(stored, StoredSnapshot):
                snapshot = restore(stored, self.transcoder)
                if snapshot is None:
                    passed_over[stored.originator_id] = 0
                else:
                    loaded.append((snapshot, stored.position))
            elif stored.originator_id not in passed_over:
                loaded.append((self.domain_event(stored), stored.position))
        return loaded + (self.load(passed_over) if passed_over else [])

    def snapshot(self, aggregate: Aggregate, position: int) -> None:
        """Store the aggregate's state; `position` is that of its last event in the log."""
        self.ordered_recorder.save_snapshot(take(aggregate, position, self.transcoder))

    def load(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """(domain event, log position) of these streams after the given versions, each stream in order."""
        return [(self.domain_event(event), event.position) for event in self.ordered_recorder.select_newer(versions)]

    def load_last(self, stream_ids: Sequence[UUID]) -> list[Any]:
        """The last domain event of each of these streams; streams that do not exist are missing."""
        return [self.domain_event(event) for event in self.ordered_recorder.select_last(stream_ids)]
