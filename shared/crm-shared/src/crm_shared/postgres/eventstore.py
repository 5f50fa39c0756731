"""The event store of a service: `eventsourcing`'s application with our recorder and transcoder."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent, Transcoder

from crm_shared.postgres.recorder import OrderedRecorder
from crm_shared.postgres.transcoder import OrjsonTranscoder


class EventSourcedApplication(Application[UUID]):
    """Base of each service's application: the event store that its use cases load from and save to.

    Construct it with the PostgreSQL settings as an environment mapping (`POSTGRES_HOST`, ...).
    """

    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "crm_shared.postgres.recorder:OrderedRecorder",
    }

    def construct_transcoder(self) -> Transcoder:
        return OrjsonTranscoder()

    @property
    def ordered_recorder(self) -> OrderedRecorder:
        """The recorder, as the type that it is."""
        return cast(OrderedRecorder, self.recorder)

    def domain_event(self, stored: StoredEvent) -> Any:
        """The domain event in a stored one."""
        return self.mapper.to_domain_event(stored)

    def put(self, events: Sequence[Any]) -> list[int]:
        """Store events of any number of aggregates in one transaction; their log positions, in order."""
        positions = self.ordered_recorder.insert_events([self.mapper.to_stored_event(event) for event in events])
        return list(positions)

    def load(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """(domain event, log position) of these streams after the given versions, each stream in order."""
        return [(self.domain_event(event), event.position) for event in self.ordered_recorder.select_newer(versions)]
