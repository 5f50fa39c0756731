"""PostgreSQL: the event store."""

from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.postgres.recorder import LoggedEvent, OrderedRecorder

__all__ = ["EventSourcedApplication", "LoggedEvent", "OrderedRecorder"]
