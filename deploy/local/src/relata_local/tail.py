"""Public events as they pass on the broker, read as any other system would: plain aiokafka, no consumer group."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from relata_local.errors import LocalError
from relata_local.plain import printable

SOURCES = ("contacts", "interactions", "segmentation", "feedback")
TOPICS = tuple(f"crm.{source}.events.v1" for source in SOURCES)
_REFRESH_SECONDS = 5.0


@dataclass(frozen=True)
class PassedEvent:
    """One public event as it lay on the broker."""

    headers: Mapping[str, str]
    data: Mapping[str, Any]
    topic: str
    partition: int
    offset: int

    @property
    def source(self) -> str:
        return self.headers.get("ce_source", "?").lstrip("/")

    @property
    def type(self) -> str:
        """The event's own name, without the domain before it and the major version behind it."""
        parts = self.headers.get("ce_type", "?").split(".")
        return parts[2] if len(parts) > 2 else parts[-1]

    @property
    def position(self) -> int:
        return int(self.headers.get("ce_sequence", "0"))

    def as_json(self) -> dict[str, Any]:
        names = ("id", "type", "source", "subject", "time", "recordedtime", "correlationid", "causationid", "actor")
        envelope = {name: self.headers.get(f"ce_{name}") for name in names}
        place = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return {**envelope, "sequence": self.position, **place, "data": self.data}


def decode(record: "ConsumerRecord[bytes, bytes]") -> PassedEvent:
    """A record as an event; what is not one still shows, as far as it can be read."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    try:
        data = json.loads(record.value) if record.value else {}
    except ValueError:
        data = {"unreadable": repr(record.value[:100] if record.value else b"")}
    return PassedEvent(headers, data, record.topic, record.partition, record.offset)


def event_filter(types: Sequence[str], customer_id: str | None) -> Callable[[PassedEvent], bool]:
    """Events of any of these types (all when none is given, short or full names) and of this customer."""

    def passes(event: PassedEvent) -> bool:
        if types and event.type not in types and event.headers.get("ce_type") not in types:
            return False
        return customer_id is None or event.headers.get("ce_subject") == customer_id

    return passes


async def follow(bootstrap: str, *, from_beginning: bool, until_end: bool) -> AsyncGenerator[PassedEvent, None]:
    """Events of all services, per partition in order; topics that appear later are taken up from their beginning.

    With `until_end` it ends where the topics ended when it began. Raises `LocalError` when the broker is not there.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", metadata_max_age_ms=5000
    )
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise LocalError(f"the broker does not answer at {bootstrap}: {error}") from error
    try:
        known = await _partitions(consumer)
        consumer.assign(sorted(known))
        ends = await consumer.end_offsets(known) if known else {}
        if not from_beginning and not until_end:
            for partition, end in ends.items():
                consumer.seek(partition, end)
        elif known:
            await consumer.seek_to_beginning(*known)
        loop = asyncio.get_running_loop()
        look_again = loop.time() + _REFRESH_SECONDS
        while not until_end or await _unread(consumer, ends):
            batches = await consumer.getmany(timeout_ms=200) if known else await asyncio.sleep(0.2, {})
            for records in batches.values():
                for record in records:
                    yield decode(record)
            if loop.time() > look_again and not until_end:
                look_again = loop.time() + _REFRESH_SECONDS
                known = await _take_up_new(consumer, known)
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer) -> set[TopicPartition]:
    existing = await consumer.topics()
    found = set()
    for topic in TOPICS:
        if topic in existing:
            found |= {TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()}
    return found


async def _take_up_new(consumer: AIOKafkaConsumer, known: set[TopicPartition]) -> set[TopicPartition]:
    found = await _partitions(consumer)
    if not found - known:
        return known
    offsets = {partition: await consumer.position(partition) for partition in known}
    consumer.assign(sorted(known | found))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    await consumer.seek_to_beginning(*(found - known))
    return known | found


async def _unread(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False


def one_line(event: PassedEvent) -> str:
    """An event for people: when, who says it, what, about whom, and what matters in it."""
    when = event.headers.get("ce_time", "")[:19].replace("T", " ")
    subject = event.headers.get("ce_subject", "")[:8]
    source = f"{event.source}:{event.position}"
    return printable(f"{when}  {source:<20} {event.type:<24} {subject:<8}  {gist(event)}".rstrip())


def gist(event: PassedEvent) -> str:
    """What matters in an event, in a few words; empty for a type that is not known here."""
    data = event.data
    match event.type:
        case "CustomerIdentified":
            return "known as " + " ".join(_identifier(known) for known in data.get("identifiers", []))
        case "IdentityLinked":
            return "also " + _identifier(data.get("identifier", {}))
        case "CustomerDetailsChanged" | "PreferencesChanged":
            return "changed " + " ".join(data.get("changed", []))
        case "CustomerTagged":
            return f"+#{data.get('tag')}"
        case "CustomerUntagged":
            return f"-#{data.get('tag')}"
        case "InteractionLogged":
            return f"{data.get('direction')} by {data.get('channel')}: {data.get('subject') or ''}".rstrip(": ")
        case "PurchaseRecorded":
            total = data.get("total", {})
            return f"{total.get('amount')} {total.get('currency')}, order {data.get('order_id')}"
        case "CustomerEnteredSegment":
            return f"into {data.get('segment_key')} because {_values(data)}"
        case "CustomerLeftSegment":
            return f"out of {data.get('segment_key')} because {_values(data)}"
        case "SegmentDefined" | "SegmentRetired" | "SurveyPublished":
            return f"{data.get('key')}" + (f", version {data['version']}" if "version" in data else "")
        case "SurveyAnswered":
            return f"{data.get('survey_key')}: " + " ".join(_answer(answer) for answer in data.get("answers", []))
        case _:
            return ""


def _identifier(known: Mapping[str, Any]) -> str:
    return ":".join(str(part) for part in (known.get("type"), known.get("system"), known.get("value")) if part)


def _values(data: Mapping[str, Any]) -> str:
    decided = [f"{value.get('field')}={value.get('actual')}" for value in data.get("values", [])]
    return " ".join(decided) or str(data.get("because"))


def _answer(answer: Mapping[str, Any]) -> str:
    given = next((answer[kind] for kind in ("number", "choice", "text") if answer.get(kind) is not None), "-")
    return f"{answer.get('question')}={given}"
