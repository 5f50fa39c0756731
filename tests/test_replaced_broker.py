"""A broker replaced by an empty one, of another cluster, between two requests: clients do not go on there."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import TopicPartition

from crm_shared.kafka import Kafka, Topic, cluster_id
from crm_shared.kafka.clients import OtherCluster, Producer
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

TOPIC = "somewhere"


async def replace(broker: EmbeddedServers, kafka: Kafka) -> None:
    """Another cluster at the same address, where somebody else has made the topic already."""
    await asyncio.to_thread(broker.broker.restart)
    await begin(kafka)


async def begin(kafka: Kafka) -> str:
    """Make the topic; the cluster's id."""
    admin = kafka.admin()
    await kafka.start(admin)
    try:
        await kafka.ensure_topics(admin, [Topic(TOPIC)])
        return await cluster_id(admin)
    finally:
        await admin.close()


async def send(producer: Producer, value: bytes) -> None:
    batch = producer.create_batch()
    batch.append(timestamp=None, key=b"k", value=value)
    await (await producer.send_batch(batch, TOPIC, partition=0))


@pytest.mark.slow
async def test_a_producer_sends_nothing_to_the_broker_that_replaced_its_own(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings]
) -> None:
    kafka = Kafka(settings_for("contacts"))
    cluster = await begin(kafka)
    producer = kafka.producer()
    await producer.start()
    producer.keep_to(cluster)
    await send(producer, b"here")

    await replace(broker, kafka)
    with pytest.raises(OtherCluster):
        await send(producer, b"not there")

    await producer.stop()
    reader = kafka.consumer(group=None)
    await reader.start()
    assert await reader.end_offsets([TopicPartition(TOPIC, 0)]) == {TopicPartition(TOPIC, 0): 0}
    await reader.stop()


@pytest.mark.slow
async def test_a_consumer_reads_nothing_from_the_broker_that_replaced_its_own(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings]
) -> None:
    kafka = Kafka(settings_for("contacts"))
    cluster = await begin(kafka)
    first, second = kafka.producer(), kafka.producer()
    await first.start()
    await send(first, b"here")
    await first.stop()
    reader = kafka.consumer(group=None)
    await reader.start()
    reader.keep_to(cluster)
    reader.assign([TopicPartition(TOPIC, 0)])
    await reader.seek_to_beginning()
    assert [one.value for one in (await reader.getmany(timeout_ms=5_000))[TopicPartition(TOPIC, 0)]] == [b"here"]

    await replace(broker, kafka)
    await second.start()
    # The second record of the new log is where the reader would go on.
    await send(second, b"there")
    await send(second, b"there too")
    await second.stop()

    assert await reader.getmany(timeout_ms=3_000) == {}
    await reader.stop()
