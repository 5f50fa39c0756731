"""The oracle: what every view, topic and answer must be, computed offline from the event stores alone."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

import bson
from aiokafka import TopicPartition
from bson.codec_options import CodecOptions
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps
from pymongo import MongoClient
from tests.faults.load import Answered
from tests.faults.stored import (
    DEFINITIONS,
    Document,
    Documents,
    Log,
    SettingsFor,
    View,
    aggregates,
    last_position,
    read_log,
    views_of,
)

from crm_contracts.envelope import EnvelopeError, PublicEvent, Record, decode
from crm_contracts.registry import events_topic, state_topic
from crm_contracts.watermark import read_watermark
from crm_shared.application import IdempotencyKey
from crm_shared.application.idempotency import IdempotencyRecord
from crm_shared.domain.context import ANONYMOUS
from crm_shared.kafka import Kafka
from crm_shared.projections.generations import COLLECTION as GENERATIONS
from crm_shared.projections.generations import in_generation
from crm_shared.projections.progress import COLLECTION as PROGRESS
from segmentation_service.conditions import evaluate, parse
from segmentation_service.domain import Memberships, Segment
from segmentation_service.projections import FACTS
from segmentation_service.projections.evaluations import COLLECTION as EVALUATIONS

# What says how often something was written, and not what is known.
BOOKKEEPING = frozenset({"_id", "revision"})
SHOWN = 5
# How long views may take to settle; longer in a longer run, whose logs grow from test to test.
patience_seconds = 120.0
_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)


@dataclass(frozen=True)
class Folded:
    """What a view must hold: documents and rows by id, and per document the key that it belongs to."""

    documents: Documents
    rows: Documents
    owners: Mapping[str, str]


@dataclass(frozen=True)
class Oracle:
    """Everything that is stored at one moment, and what follows from it.

    `found` and `differs` return sentences about what is not as it must be: no sentence, no difference.
    """

    settings_for: SettingsFor
    logs: Mapping[str, Log]
    services: Sequence[str] = tuple(DEFINITIONS)
    seed: int = field(default_factory=lambda: random.randrange(2**32))
    _folded: dict[str, "Folded"] = field(init=False, default_factory=dict)

    @classmethod
    def read(cls, settings_for: SettingsFor, services: Sequence[str] = tuple(DEFINITIONS)) -> "Oracle":
        """Read all event stores now."""
        logs = {one: read_log(DEFINITIONS[one], settings_for(one)) for one in _with_log(services)}
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

    def fold(self, view: View, upto: Mapping[str, Mapping[str, int]] | None = None) -> "Folded":
        """A view in one pure pass; with `upto`, per document the last position of each source, as far as these only."""
        documents: Documents = {}
        rows: Documents = {}
        owners: dict[str, str] = {}
        for event in self.any_order():
            if not view.reads(event):
                continue
            one = view.document_id(event)
            if upto is not None and event.sequence > upto.get(one, {}).get(event.service, 0):
                continue
            owners[one] = event.key
            before = documents.get(one)
            positions = before["positions"] if before else {}
            documents[one] = {**view.fold(before, event), "positions": {**positions, event.service: event.sequence}}
            if (row := view.row_of(event)) is not None:
                rows[row["_id"]] = row
        return Folded(documents, rows, owners)

    def view_differences(self, parked: Mapping[str, Collection[str]] | None = None) -> list[str]:
        """How the views in the document store differ from what the event stores say.

        `parked` are the customers set aside, per projection: their documents must be as of their own positions, and
        what has a document of its own for each event is not looked at.
        """
        found: list[str] = []
        for view in self.views:
            settings = self.settings_for(view.service)
            with MongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
                database = client[settings.database_name(view.service)]
                live = database[GENERATIONS].find_one({"_id": view.name})
                generation = live["live"] if live else 1
                documents = _by_id(database[in_generation(view.collection, generation)].find({}))
                rows = _by_id(database[in_generation(view.rows, generation)].find({})) if view.rows else {}
                if view.lookup:
                    name = view.lookup.collection
                    entries = _by_id(database[in_generation(name, generation)].find({}))
                    partition_of = Kafka(settings).partition_of
                    wanted = {
                        one: view.lookup.entry(one, document, partition_of) for one, document in documents.items()
                    }
                    found += _compare(f"{view.name}: {name}", wanted, entries)
                noted = _by_id(database[EVALUATIONS].find({})) if view.name == FACTS.name else {}
            aside = set((parked or {}).get(view.name, ()))
            if view.name not in self._folded:
                self._folded[view.name] = self.fold(view)
            folded = self._folded[view.name]
            expected, expected_rows = folded.documents, folded.rows
            if aside:
                theirs = {one for one, key in folded.owners.items() if key in aside}
                upto = {one: documents[one]["positions"] for one in theirs if one in documents}
                behind = self.fold(view, upto).documents
                documents = {one: document for one, document in documents.items() if one not in theirs or one in aside}
                expected = {one: document for one, document in expected.items() if one not in theirs} | {
                    one: document for one, document in behind.items() if one in aside
                }
                expected_rows = _without(expected_rows, aside)
                rows = _without(rows, aside)
            if view.name == FACTS.name:
                found += self._membership_differences(expected, aside)
                found += self._evaluation_differences(noted, generation)
            found += _compare(f"{view.name}: {view.collection}", expected, documents)
            found += _compare(f"{view.name}: {view.rows}", expected_rows, rows)
        return found

    def _membership_differences(self, facts: Documents, parked: Collection[str]) -> list[str]:
        """Memberships in segmentation's own log and by a fresh evaluation of everybody's facts: all equal."""
        events = self.logs["segmentation"].events
        conditions = {one.key: parse(one.condition) for one in aggregates(events, Segment).values() if not one.retired}
        decided = {one.customer_id: one.since for one in aggregates(events, Memberships).values()}
        members = {
            key: {"in": sorted(one for one, condition in conditions.items() if evaluate(condition, document))}
            for key, document in facts.items()
            if key not in parked
        }
        logged = {key: {"in": sorted(decided.get(key, ()))} for key in members}
        return _compare("memberships, evaluated afresh and logged", members, logged)

    def _evaluation_differences(self, noted: Documents, generation: int) -> list[str]:
        """That everybody has been evaluated for every definition, in every partition."""
        partitions = Kafka(self.settings_for("segmentation")).partitions
        versions = {
            one.key: -one.definition_version if one.retired else one.definition_version
            for one in aggregates(self.logs["segmentation"].events, Segment).values()
        }
        if not versions:
            return []
        evaluated = {
            str(partition): {
                "evaluated": {
                    key: [of_key["version"], of_key["generation"]] for key, of_key in one["evaluated"].items()
                },
                "running": one["running"],
            }
            for partition, one in noted.items()
        }
        expected: Documents = {
            str(one): {
                "evaluated": {key: [version, generation] for key, version in versions.items()},
                "running": None,
            }
            for one in range(partitions)
        }
        return _compare("evaluation of everybody", expected, evaluated)

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
            once = IdempotencyKey(one.command.service, ANONYMOUS, one.command.key, fingerprint="")
            record = records.get(IdempotencyRecord.create_id(once))
            if not one.accepted:
                if record is not None:
                    found.append(f"{one} was refused, and is stored: {record.result}")
                continue
            if record is None:
                found.append(f"{one} was acknowledged, and is not stored")
                continue
            stored_at = [positions[one.command.service].get((UUID(i), v), 0) for i, v in record.answered_with]
            stored = {**record.result, "position": max(stored_at)}
            status = 201 if record.result.get("created") else 200
            if (one.status, one.body) != (status, stored):
                found.append(f"{one} was answered, and the store holds {status} {stored}")
        return found

    def how_far(self) -> list[str]:
        """How far each view says that it is: one that differs and is at the end has passed something over."""
        found: list[str] = []
        for view in self.views:
            settings = self.settings_for(view.service)
            with MongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
                database = client[settings.database_name(view.service)]
                live = database[GENERATIONS].find_one({"_id": view.name})
                progress = database[PROGRESS].find_one({"_id": in_generation(view.name, live["live"] if live else 1)})
            found += [
                f"{view.name}, partition {number}: done {section['done']}, lag {section['lag']}, "
                f"offsets {section['offsets']}, last written at {section['updated_at']:%H:%M:%S}"
                for number, section in sorted((progress or {"partitions": {}})["partitions"].items())
                if "cluster" in section
            ]
        return found

    async def topic_differences(self) -> list[str]:
        """Topics hold every public event at least once, bytes and all: each key's in order, before a watermark."""
        found: list[str] = []
        for service, log in self.logs.items():
            kafka = Kafka(self.settings_for(service))
            sent = await _read_topic(kafka, events_topic(service))
            expected = {event.id: record for event, record in log.public}
            seen: dict[str, None] = {}
            last: dict[bytes, int] = defaultdict(int)
            covered: dict[int, int] = defaultdict(int)
            for partition, record in sent:
                if (watermark := read_watermark(record.headers, record.value)) is not None:
                    covered[partition] = max(covered[partition], watermark.sequence)
                    continue
                try:
                    event = decode(record.key, record.value, record.headers)
                except EnvelopeError as error:
                    found.append(f"{service}: {error}")
                    continue
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
                if event.sequence <= covered[partition]:
                    found.append(f"{service}: {event.name} {event.sequence} comes after watermark {covered[partition]}")
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
    seconds: float | None = None,
) -> Oracle:
    """Wait until nothing is stored any more and every view equals the oracle; AssertionError with what differs."""
    differences = ["nothing was compared yet"]
    seconds = patience_seconds if seconds is None else seconds
    deadline = asyncio.get_running_loop().time() + seconds
    before: dict[str, int] = {}
    oracle: Oracle | None = None
    while True:
        began = asyncio.get_running_loop().time()
        positions = await asyncio.to_thread(_last_positions, settings_for, services)
        if positions == before:
            if oracle is None or oracle.positions != positions:
                oracle = await asyncio.to_thread(Oracle.read, settings_for, services)
            differences = await asyncio.to_thread(oracle.view_differences, parked)
            if not differences and oracle.positions == positions:
                return oracle
        before = positions
        if asyncio.get_running_loop().time() >= deadline:
            if oracle is None:
                oracle = await asyncio.to_thread(Oracle.read, settings_for, services)
            topics = (await oracle.topic_differences())[:SHOWN]
            how_far = await asyncio.to_thread(oracle.how_far)
            said = [f"after {seconds:g} s the views still differ:", *differences, *topics, *how_far]
            raise AssertionError("\n".join(said))
        # Views that run in this process need its processor more than a look at a long history does.
        await asyncio.sleep(max(1.0, 2 * (asyncio.get_running_loop().time() - began)))


def _last_positions(settings_for: SettingsFor, services: Sequence[str]) -> dict[str, int]:
    return {one: last_position(DEFINITIONS[one], settings_for(one)) for one in _with_log(services)}


def _with_log(services: Sequence[str]) -> list[str]:
    return [one for one in services if DEFINITIONS[one].owns_events]
