"""The oracle: what every view, topic and answer must be, computed offline from the event stores alone."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import bson
import psycopg
from aiokafka import TopicPartition
from bson.codec_options import CodecOptions
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps
from psycopg.rows import args_row
from psycopg.sql import SQL, Identifier
from pymongo import AsyncMongoClient, MongoClient
from tests.faults.load import Answered

from contacts_service.main import DEFINITION as CONTACTS
from crm_shared.contracts.envelope import PublicEvent, Record, decode, encode
from crm_shared.contracts.registry import events_topic, state_topic
from crm_shared.domain import Aggregate
from crm_shared.eventstore import LoggedEvent
from crm_shared.generations import COLLECTION as GENERATIONS
from crm_shared.generations import in_generation
from crm_shared.idempotency import IdempotencyRecord
from crm_shared.kafka import Kafka
from crm_shared.projection import DocumentProjection, Fold
from crm_shared.service import Definition, Runtime
from crm_shared.settings import Settings
from customer360_service.main import DEFINITION as CUSTOMER360
from feedback_service.main import DEFINITION as FEEDBACK
from interactions_service.main import DEFINITION as INTERACTIONS
from segmentation_service import projections as segmentation
from segmentation_service.conditions import evaluate, parse
from segmentation_service.domain import Memberships, Segment
from segmentation_service.main import DEFINITION as SEGMENTATION

Document = dict[str, Any]
Documents = dict[str, Document]
SettingsFor = Callable[[str], Settings]

DEFINITIONS = {one.service: one for one in (CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK, CUSTOMER360)}
SEGMENTATION_VIEW = segmentation.NAME
# What says how often something was written, or what it waited for, and not what is known.
BOOKKEEPING = frozenset({"_id", "revision", "awaiting"})
SHOWN = 5
_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)


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

    def reads(self, event: PublicEvent) -> bool:
        """Whether the event is for this view."""
        return (
            events_topic(event.service) in self.topics
            and f"crm.{event.service}.{event.name}.v{event.major}" in self.handles
        )


def views_of(definition: Definition) -> list[View]:
    """The views of a service, by the folds that the service itself runs."""
    if definition is SEGMENTATION:
        topics = [events_topic(source) for source in ("contacts", "interactions", "feedback")]
        name, handles, collection = SEGMENTATION_VIEW, segmentation.HANDLES, segmentation.CUSTOMERS
        return [View("segmentation", name, topics, handles, collection, segmentation.fold_facts, _key)]
    client: AsyncMongoClient[Document] = AsyncMongoClient(connect=False)
    runtime = cast(Runtime, SimpleNamespace(database=client[definition.service]))
    return [
        View(
            definition.service,
            one.name,
            one.topics,
            one.handles,
            one.collections[0],
            one.fold,
            one.document_id,
            one.row_of,
            one.collections[1] if len(one.collections) > 1 else None,
        )
        for one in definition.projections(runtime)
        if isinstance(one, DocumentProjection)
    ]


def _key(event: PublicEvent) -> str:
    return event.key


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
    assert definition.application is not None
    assert definition.publish is not None
    # Without CREATE_TABLE nothing is written: the services own their tables.
    application = definition.application({**settings.eventsourcing_env(definition.service), "CREATE_TABLE": "no"})
    try:
        table = Identifier(settings.schema_name(definition.service), application.ordered_recorder.events_table_name)
        query = SQL(
            "SELECT originator_id, originator_version, topic, state, notification_id FROM {} ORDER BY notification_id"
        )
        with psycopg.connect(**settings.postgres_connection(), row_factory=args_row(LoggedEvent)) as connection:
            stored = connection.execute(query.format(table)).fetchall()
        events = [(application.domain_event(one), one.position) for one in stored]
    finally:
        application.close()
    public: list[tuple[PublicEvent, Record]] = []
    for event, position in events:
        if (said := definition.publish(event)) is not None:
            record = encode(event, position, said.key, said.data)
            public.append((decode(record.key, record.value, record.headers), record))
    return Log(definition.service, events, public, _states(definition, events))


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


@dataclass(frozen=True)
class Oracle:
    """Everything that is stored at one moment, and what follows from it.

    `found` and `differs` return sentences about what is not as it must be: no sentence, no difference.
    """

    settings_for: SettingsFor
    logs: Mapping[str, Log]
    services: Sequence[str] = tuple(DEFINITIONS)
    seed: int = field(default_factory=lambda: random.randrange(2**32))

    @classmethod
    def read(cls, settings_for: SettingsFor, services: Sequence[str] = tuple(DEFINITIONS)) -> "Oracle":
        """Read all event stores now."""
        logs = {one: read_log(DEFINITIONS[one], settings_for(one)) for one in services if DEFINITIONS[one].application}
        return cls(settings_for, logs, services)

    @property
    def positions(self) -> dict[str, int]:
        """The last log position of each service."""
        return {service: log.last_position for service, log in self.logs.items()}

    @property
    def public_events(self) -> int:
        """How many public events there are."""
        return sum(len(log.public) for log in self.logs.values())

    @cached_property
    def views(self) -> list[View]:
        return [view for service in self.services for view in views_of(DEFINITIONS[service])]

    def any_order(self) -> Iterator[PublicEvent]:
        """All public events, each source in its order, the sources shuffled among each other."""
        chance = random.Random(self.seed)
        left = [iter([event for event, _ in log.public]) for log in self.logs.values()]
        while left:
            source = chance.choice(left)
            for event in source:
                yield event
                if chance.random() < 0.3:
                    break
            else:
                left.remove(source)

    def fold(self, view: View, upto: Mapping[str, Mapping[str, int]] | None = None) -> tuple[Documents, Documents]:
        """The documents of a view, and its rows, in one pure pass.

        With `upto`, per document the last position of each source, as far as these only.
        """
        documents: Documents = {}
        rows: Documents = {}
        for event in self.any_order():
            if not view.reads(event):
                continue
            one = view.document_id(event)
            if upto is not None and event.sequence > upto.get(one, {}).get(event.service, 0):
                continue
            before = documents.get(one)
            positions = before["positions"] if before else {}
            documents[one] = {**view.fold(before, event), "positions": {**positions, event.service: event.sequence}}
            if (row := view.row_of(event)) is not None:
                rows[row["_id"]] = row
        if view.name == SEGMENTATION_VIEW:
            kafka = Kafka(self.settings_for("segmentation"))
            for key, document in documents.items():
                document["partition"] = kafka.partition_of(key.encode())
        return documents, rows

    def view_differences(self, parked: Mapping[str, Collection[str]] | None = None) -> list[str]:
        """How the views in the document store differ from what the event stores say.

        `parked` are the customers set aside, per projection: their documents must be as of their own positions.
        """
        found: list[str] = []
        for view in self.views:
            settings = self.settings_for(view.service)
            with MongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
                database = client[settings.database_name(view.service)]
                noted = database[GENERATIONS].find_one({"_id": view.name})
                generation = noted["live"] if noted else 1
                documents = _by_id(database[in_generation(view.collection, generation)].find({}))
                rows = _by_id(database[in_generation(view.rows, generation)].find({})) if view.rows else {}
                shown = _by_id(database["segments"].find({})) if view.name == SEGMENTATION_VIEW else {}
            aside = set((parked or {}).get(view.name, ()))
            expected, expected_rows = self.fold(view)
            if aside:
                upto = {one: documents[one]["positions"] if one in documents else {} for one in aside}
                behind, _ = self.fold(view, upto)
                expected = {one: document for one, document in expected.items() if one not in aside} | {
                    one: document for one, document in behind.items() if one in aside
                }
                expected_rows = _without(expected_rows, aside)
                rows = _without(rows, aside)
            if view.name == SEGMENTATION_VIEW:
                found += self._membership_differences(documents, expected, aside)
                found += self._segment_differences(shown)
                documents, expected = _facts_only(documents), _facts_only(expected)
            found += _compare(f"{view.name}: {view.collection}", expected, documents)
            found += _compare(f"{view.name}: {view.rows}", expected_rows, rows)
        return found

    def _membership_differences(self, documents: Documents, facts: Documents, parked: Collection[str]) -> list[str]:
        """Memberships in documents, in segmentation's own log, and by a fresh evaluation of everybody: all equal."""
        events = self.logs["segmentation"].events
        conditions = {one.key: parse(one.condition) for one in aggregates(events, Segment).values() if not one.retired}
        decided = {one.customer_id: one.since for one in aggregates(events, Memberships).values()}
        stored = {key: {"since": one.get("memberships", {})} for key, one in documents.items() if key not in parked}
        logged = {key: {"since": decided.get(key, {})} for key in stored}
        found = _compare("memberships, logged and in documents", logged, stored)
        members = {
            key: {"in": sorted(one for one, condition in conditions.items() if evaluate(condition, document))}
            for key, document in facts.items()
            if key not in parked
        }
        found += _compare(
            "memberships, evaluated afresh and logged",
            members,
            {key: {"in": sorted(decided.get(key, ()))} for key in members},
        )
        return found + [
            f"member_of of {key} is {one.get('member_of')}"
            for key, one in documents.items()
            if sorted(one.get("memberships", {})) != one.get("member_of", [])
        ]

    def _segment_differences(self, shown: Documents) -> list[str]:
        """Definitions in the view, and that everybody has been evaluated for them."""
        partitions = Kafka(self.settings_for("segmentation")).partitions
        events = self.logs["segmentation"].events
        defined_at = {
            event.originator_id: event.occurred_at
            for event, _ in events
            if isinstance(event, Segment.Created | Segment.Redefined)
        }
        expected: Documents = {}
        for segment in aggregates(events, Segment).values():
            version = segment.definition_version
            expected[segment.key] = {
                "segment_id": str(segment.id),
                "name": segment.name,
                "description": segment.description,
                "condition": segment.condition,
                "version": version,
                "defined_at": defined_at[segment.id],
                "retired": segment.retired,
                "evaluated": {str(one): [-version if segment.retired else version, True] for one in range(partitions)},
            }
        noted = {
            key: {
                **one,
                "evaluated": {
                    partition: [done["version"], done["complete"]]
                    for partition, done in one.get("evaluated", {}).items()
                },
            }
            for key, one in shown.items()
        }
        return _compare("definitions of segments", expected, noted)

    def answer_differences(self, answers: Iterable[Answered]) -> list[str]:
        """Accepted commands must be stored as they were answered, refused ones not at all."""
        positions = {
            service: {(event.originator_id, event.originator_version): position for event, position in log.events}
            for service, log in self.logs.items()
        }
        records = {
            event.originator_id: event
            for log in self.logs.values()
            for event, _ in log.events
            if isinstance(event, IdempotencyRecord.Created)
        }
        found: list[str] = []
        for one in answers:
            record = records.get(IdempotencyRecord.create_id(one.command.service, one.command.key))
            if not one.accepted:
                if record is not None:
                    found.append(f"{one} was refused, and is stored: {record.body}")
                continue
            if record is None:
                found.append(f"{one} was acknowledged, and is not stored")
                continue
            stored_at = [positions[one.command.service].get((UUID(i), v), 0) for i, v in record.answered_with]
            stored = {**record.body, "position": max(stored_at)}
            if (one.status, one.body) != (record.status, stored):
                found.append(f"{one} was answered, and the store holds {record.status} {stored}")
        return found

    async def topic_differences(self) -> list[str]:
        """Topics must hold every public event at least once, bytes and all, and each key's in order."""
        found: list[str] = []
        for service, log in self.logs.items():
            kafka = Kafka(self.settings_for(service))
            sent = await _read_topic(kafka, events_topic(service))
            expected = {event.id: record for event, record in log.public}
            seen: dict[str, None] = {}
            last: dict[bytes, int] = defaultdict(int)
            for partition, record in sent:
                event = decode(record.key, record.value, record.headers)
                said = expected.get(event.id)
                if said is None:
                    found.append(f"{service}: {event.name} {event.sequence} is on the topic and not in the store")
                elif _bytes(said) != _bytes(record):
                    found.append(f"{service}: {event.name} {event.sequence} was sent with other bytes")
                if partition != kafka.partition_of(record.key):
                    found.append(f"{service}: {event.name} {event.sequence} is on partition {partition}")
                if event.id in seen:
                    continue
                seen[event.id] = None
                if event.sequence < last[record.key]:
                    found.append(f"{service}: {event.name} {event.sequence} comes after {last[record.key]} of its key")
                last[record.key] = event.sequence
            found += [f"{service}: {one} was never sent" for one in expected.keys() - seen.keys()]
            if log.states:
                states = {record.key: record for _, record in await _read_topic(kafka, state_topic(service))}
                found += [
                    f"{service}: the state of {key.decode()} on the topic is not the last"
                    for key, record in log.states.items()
                    if key not in states or _bytes(states[key]) != _bytes(record)
                ]
        return found


async def _read_topic(kafka: Kafka, topic: str) -> list[tuple[int, Record]]:
    """(partition, record) of a whole topic, each partition in its order."""
    consumer = kafka.consumer(group=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, one) for one in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[tuple[int, Record]] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += [(one.partition, Record(topic, one.key, one.value, one.headers)) for one in batch]
        return found
    finally:
        await consumer.stop()


def _bytes(record: Record) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    return record.key, record.value, sorted(record.headers)


def _by_id(found: Iterable[Document]) -> Documents:
    return {one["_id"]: one for one in found}


def _without(rows: Documents, customers: Collection[str]) -> Documents:
    return {one: row for one, row in rows.items() if row["customer_id"] not in customers}


def _facts_only(documents: Documents) -> Documents:
    return {
        key: {name: value for name, value in one.items() if name not in ("memberships", "member_of")}
        for key, one in documents.items()
    }


def canonical(document: Document) -> bytes:
    """A document as bytes: as BSON holds it, members sorted, without what only counts writes."""
    held = bson.decode(bson.encode(document), codec_options=_AWARE)
    known = {name: value for name, value in held.items() if name not in BOOKKEEPING}
    return dumps(known, json_options=CANONICAL_JSON_OPTIONS, sort_keys=True).encode()


def _compare(what: str, expected: Documents, found: Documents) -> list[str]:
    missing = expected.keys() - found.keys()
    invented = found.keys() - expected.keys()
    other = [
        f"{what}: {one} is {canonical(found[one]).decode()}, not {canonical(expected[one]).decode()}"
        for one in expected.keys() & found.keys()
        if canonical(expected[one]) != canonical(found[one])
    ]
    said = [f"{what}: {len(missing)} missing: {sorted(missing)[:SHOWN]}"] if missing else []
    said += [f"{what}: {len(invented)} should not be: {sorted(invented)[:SHOWN]}"] if invented else []
    said += [f"{what}: {len(other)} differ"] if other else []
    return said + other[:SHOWN]


async def settled(
    settings_for: SettingsFor,
    *,
    services: Sequence[str] = tuple(DEFINITIONS),
    parked: Mapping[str, Collection[str]] | None = None,
    seconds: float = 120,
) -> Oracle:
    """Wait until nothing is stored any more and every view equals the oracle; AssertionError with what differs."""
    differences = ["nothing was compared yet"]
    deadline = asyncio.get_running_loop().time() + seconds
    before: Oracle | None = None
    while True:
        oracle = await asyncio.to_thread(Oracle.read, settings_for, services)
        if before is not None and oracle.positions == before.positions:
            differences = await asyncio.to_thread(oracle.view_differences, parked)
            if not differences:
                return oracle
        before = oracle
        if asyncio.get_running_loop().time() >= deadline:
            raise AssertionError(f"after {seconds:g} s the views still differ:\n" + "\n".join(differences))
        await asyncio.sleep(1)
