"""What tests on Apache Kafka share: customers over HTTP, waiting for the relay, and all that a topic holds."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from crm_shared.kafka import Kafka

Identify = Callable[..., Awaitable[dict[str, Any]]]
Published = Callable[[Any, int], Awaitable[None]]
ReadTopic = Callable[[Kafka, str], Awaitable[list[ConsumerRecord]]]


@pytest.fixture
def identify() -> Identify:
    """`await identify(service, "lan@example.com")`: the answer, with customer_id and position."""

    async def identify_one(launched: Any, email: str) -> dict[str, Any]:
        body = {"source": "webshop", "identifiers": [{"type": "email", "value": email}]}
        answer = await launched.client.post("/v1/customers/identify", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    return identify_one


@pytest.fixture
def published(eventually: Callable[..., Awaitable[Any]]) -> Published:
    """`await published(service, position)`: until its relay has the broker's acknowledgement of that position."""

    async def wait(launched: Any, position: int) -> None:
        async def reached() -> bool:
            return bool(launched.runtime.relay.leading and launched.runtime.relay.position >= position)

        await eventually(reached, seconds=60)

    return wait


@pytest.fixture
def read_topic() -> ReadTopic:
    """`await read_topic(kafka, topic)`: everything that it holds now, but watermarks."""

    async def read(kafka: Kafka, topic: str) -> list[ConsumerRecord]:
        consumer: AIOKafkaConsumer = kafka.consumer(group=None)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            found: list[ConsumerRecord] = []
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(record for record in records if record.key is not None)
            return found
        finally:
            await consumer.stop()

    return read
