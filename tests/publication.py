"""Sends public events as a relay does, one step at a time, so that a test decides what comes between."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from crm_contracts import EventData, Record, encode_watermark, event_type_of, events_topic
from crm_shared.kafka import Kafka, Topic
from crm_shared.settings import Settings
from crm_shared.testing import recorded

AT = datetime(2026, 1, 14, 2, 30, tzinfo=UTC)


class Publication:
    """The topics of one broker and a producer; positions are given by the caller."""

    def __init__(self, settings: Settings) -> None:
        self.kafka = Kafka(settings)
        self.servers = settings.kafka_bootstrap_servers
        self._producer = self.kafka.producer()

    async def __aenter__(self) -> "Publication":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def create(self, *topics: Topic) -> None:
        """Make topics as a relay makes them."""
        admin = self.kafka.admin()
        await admin.start()
        try:
            await self.kafka.ensure_topics(admin, topics)
        finally:
            await admin.close()

    async def send(self, data: EventData, position: int, **changed_headers: bytes | None) -> Record:
        """One event or state, with some headers as given (`ce_type=b"..."`)."""
        record = recorded(data, position=position, at=AT)
        headers = [(name, changed_headers.get(name, value)) for name, value in record.headers]
        await self.send_raw(event_type_of(type(data)).topic, record.key, record.value, headers)
        return record

    async def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, Any]]
    ) -> None:
        """Any record, on the partition of its key."""
        partition = self.kafka.partition_of(key) if key else 0
        await self._producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))

    async def watermark(self, service: str, sequence: int, *, only: Collection[int] | None = None) -> None:
        """One to every partition, or to some."""
        for partition in range(self.kafka.partitions) if only is None else only:
            value, headers = encode_watermark(service, partition, sequence, AT, AT)
            await self._producer.send_and_wait(events_topic(service), value, partition=partition, headers=list(headers))


Publish = Callable[..., Awaitable[Publication]]
