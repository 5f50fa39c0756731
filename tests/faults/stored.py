"""What the event stores hold, and what each service says about it: its public events, its folds, its states."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import args_row
from psycopg.sql import SQL, Identifier

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.envelope import PublicEvent, Record, decode, encode
from crm_contracts.registry import events_topic
from crm_shared.domain import Aggregate
from crm_shared.mongo import Lookup
from crm_shared.postgres import EventSourcedApplication, LoggedEvent
from crm_shared.process import Definition
from crm_shared.projections.projection import Fold
from crm_shared.settings import Settings
from customer360_service.main import DEFINITION as CUSTOMER360
from feedback_service.main import DEFINITION as FEEDBACK
from interactions_service.main import DEFINITION as INTERACTIONS
from segmentation_service.main import DEFINITION as SEGMENTATION

Document = dict[str, Any]
Documents = dict[str, Document]
SettingsFor = Callable[[str], Settings]

DEFINITIONS = {one.service: one for one in (CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK, CUSTOMER360)}


@dataclass(frozen=True)
class View:
    """One projection: what it reads, how it folds, and where its documents and rows are."""

    service: str
    name: str
    topics: Sequence[str]
    handles: Collection[str]
    collection: str
    fold: Fold
    document_id: Callable[[PublicEvent], str]
    row_of: Callable[[PublicEvent], Document | None] = lambda event: None
    rows: str | None = None
    lookup: Lookup | None = None

    def reads(self, event: PublicEvent) -> bool:
        """Whether the event is for this view."""
        return (
            events_topic(event.service) in self.topics
            and f"crm.{event.service}.{event.name}.v{event.major}" in self.handles
        )


def views_of(definition: Definition) -> list[View]:
    """The views of a service, by the folds that the service itself runs."""
    return [
        View(
            definition.service,
            one.name,
            one.topics,
            one.handles,
            one.collection,
            one.fold,
            one.document_id,
            one.row_of,
            one.rows.collection if one.rows is not None else None,
            one.lookup,
        )
        for one in definition.projections
    ]


@dataclass(frozen=True)
class Log:
    """One service's stored events in order, and what they say in public."""

    service: str
    events: Sequence[tuple[Any, int]]
    public: Sequence[tuple[PublicEvent, Record]]
    states: Mapping[bytes, Record]
    """The last record of each key of the state topic."""

    @property
    def last_position(self) -> int:
        return self.events[-1][1] if self.events else 0


def read_log(definition: Definition, settings: Settings) -> Log:
    """Read a service's whole event store."""
    assert definition.publish is not None
    query = SQL(
        "SELECT originator_id, originator_version, topic, state, notification_id FROM {} ORDER BY notification_id"
    )
    with _opened(definition, settings) as (application, table):
        with psycopg.connect(**settings.postgres_connection(), row_factory=args_row(LoggedEvent)) as connection:
            stored = connection.execute(query.format(table)).fetchall()
        events = [(application.domain_event(one), one.position) for one in stored]
    public: list[tuple[PublicEvent, Record]] = []
    for event, position in events:
        if (said := definition.publish(event)) is not None:
            record = encode(event, position, said.key, said.data)
            public.append((decode(record.key, record.value, record.headers), record))
    return Log(definition.service, events, public, _states(definition, events))


def last_position(definition: Definition, settings: Settings) -> int:
    """The last log position of a service; 0 for an empty log."""
    with (
        _opened(definition, settings) as (_, table),
        psycopg.connect(**settings.postgres_connection()) as connection,
    ):
        found = connection.execute(SQL("SELECT coalesce(max(notification_id), 0) FROM {}").format(table)).fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def _opened(definition: Definition, settings: Settings) -> Iterator[tuple[EventSourcedApplication, Identifier]]:
    """A service's application and the table of its events."""
    # Without CREATE_TABLE nothing is written: the services own their tables.
    application = EventSourcedApplication({**settings.eventsourcing_env(definition.service), "CREATE_TABLE": "no"})
    try:
        schema = settings.schema_name(definition.service)
        yield application, Identifier(schema, application.ordered_recorder.events_table_name)
    finally:
        application.close()


def _states(definition: Definition, events: Sequence[tuple[Any, int]]) -> dict[bytes, Record]:
    if definition.states is None:
        return {}
    states: dict[bytes, Record] = {}
    last = {event.originator_id: (event, position) for event, position in events}
    for stream_id, aggregate in aggregates(events, definition.states.aggregate).items():
        event, position = last[stream_id]
        said = definition.states.render(aggregate)
        record = encode(event, position, said.key, said.data)
        states[record.key] = record
    return states


def aggregates(events: Iterable[tuple[Any, int]], kind: type[Aggregate]) -> dict[UUID, Any]:
    """All aggregates of a kind as they stand after these events, by their ids."""
    found: dict[UUID, Any] = {}
    for event, _ in events:
        if isinstance(event, kind.Event):
            found[event.originator_id] = event.mutate(found.get(event.originator_id))
    return found
