"""Public events as they pass on the broker, read as any other system would: plain aiokafka, no consumer group."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from relata_local.errors import LocalError

EVENT_TOPIC = re.compile(r"crm\.[a-z0-9]+\.events\.v1")
# Records by which a service says how far it has come; of interest to machines.
WATERMARK = "Watermark"
_REFRESH_SECONDS = 5.0
# How long a broker may take to say where its topics end.
_ENDS_SECONDS = 10.0


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
        return short_name(self.headers.get("ce_type", "?"))

    @property
    def position(self) -> int:
        return int(self.headers.get("ce_sequence", "0"))

    def as_json(self) -> dict[str, Any]:
        names = ("id", "type", "source", "subject", "time", "recordedtime", "correlationid", "causationid", "actor")
        envelope = {name: self.headers.get(f"ce_{name}") for name in names}
        place = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return {**envelope, "sequence": self.position, **place, "data": self.data}


def short_name(full: str) -> str:
    """`PurchaseRecorded` of `crm.interactions.PurchaseRecorded.v1`."""
    parts = full.split(".")
    return parts[2] if len(parts) > 2 else parts[-1]


def decode(record: "ConsumerRecord[bytes, bytes]") -> PassedEvent:
    """A record as an event; a record that is not an event still shows, as far as it can be read."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    try:
        data = json.loads(record.value) if record.value else {}
    except ValueError:
        data = {"unreadable": repr(record.value[:100] if record.value else b"")}
    return PassedEvent(headers, data, record.topic, record.partition, record.offset)


def event_filter(types: Sequence[str], customer_id: str | None) -> Callable[[PassedEvent], bool]:
    """Events of any of these types (short or full names) and of this customer; without types all but watermarks."""

    def passes(event: PassedEvent) -> bool:
        if types and event.type not in types and event.headers.get("ce_type") not in types:
            return False
        if not types and event.type == WATERMARK:
            return False
        return customer_id is None or event.headers.get("ce_subject") == customer_id

    return passes


async def follow(bootstrap: str, *, from_beginning: bool, until_end: bool) -> AsyncGenerator[PassedEvent, None]:
    """Events of all services, per partition in order; topics that appear later are taken up from their beginning.

    With `until_end` it ends where the topics ended when it began. Raises `LocalError` when the broker is not there.
    """
    known = await _partitions(bootstrap)
    ends = await _ends(bootstrap, known) if known else {}
    async with _consumer(bootstrap) as consumer:
        consumer.assign(sorted(known))
        if not from_beginning and not until_end:
            for partition, end in ends.items():
                consumer.seek(partition, end)
        elif known:
            await consumer.seek_to_beginning(*known)
        loop = asyncio.get_running_loop()
        look_again = loop.time() + _REFRESH_SECONDS
        while not until_end or await _unread(consumer, ends):
            batches = await consumer.getmany(timeout_ms=200) if known else await asyncio.sleep(0.2, {})
            for partition, records in batches.items():
                for record in records:
                    if not until_end or record.offset < ends[partition]:
                        yield decode(record)
            if loop.time() > look_again and not until_end:
                look_again = loop.time() + _REFRESH_SECONDS
                known = await _take_up_new(consumer, known, await _partitions(bootstrap))


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncGenerator[AIOKafkaConsumer, None]:
    """A consumer without a group that begins with nothing assigned."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", metadata_max_age_ms=5000
    )
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise LocalError(f"the broker does not answer at {bootstrap}: {error}") from error
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _ends(bootstrap: str, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the partitions end now, by the high watermark that a fetch is answered with.

    What ListOffsets says is only where to fetch: the embedded broker counts the last batch as one record there,
    however many it holds. A consumer of its own, so that nothing that is fetched here is taken for read.
    """
    async with _consumer(bootstrap) as consumer:
        consumer.assign(sorted(partitions))
        reported: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        for partition, end in reported.items():
            consumer.seek(partition, end)
        try:
            async with asyncio.timeout(_ENDS_SECONDS):
                while any(consumer.highwater(partition) is None for partition in partitions):
                    await consumer.getmany(timeout_ms=100)
        except TimeoutError as error:
            raise LocalError(f"the broker at {bootstrap} does not say where its topics end") from error
        return {partition: max(reported[partition], consumer.highwater(partition)) for partition in partitions}


async def _partitions(bootstrap: str) -> set[TopicPartition]:
    """The partitions of every service's topic of events that exists; a consumer knows only what it is assigned."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        topics = [topic for topic in await admin.list_topics() if EVENT_TOPIC.fullmatch(topic)]
        described = await admin.describe_topics(topics) if topics else []
    except KafkaError as error:
        raise LocalError(f"the broker does not answer at {bootstrap}: {error}") from error
    finally:
        await admin.close()
    return {
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    }


async def _take_up_new(
    consumer: AIOKafkaConsumer, known: set[TopicPartition], partitions: set[TopicPartition]
) -> set[TopicPartition]:
    if not partitions - known:
        return known
    offsets = {partition: await consumer.position(partition) for partition in known}
    consumer.assign(sorted(known | partitions))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    await consumer.seek_to_beginning(*(partitions - known))
    return known | partitions


async def _unread(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False
