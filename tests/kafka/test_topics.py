"""Topics as Apache Kafka keeps them: partitions, retention, compaction."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import admin as confluent

from contacts_service.main import DEFINITION as CONTACTS
from contacts_service.projections import CUSTOMERS
from crm_shared.kafka import Kafka, Topic
from crm_shared.projections.parking import dead_letter_topic
from crm_shared.settings import Settings
from interactions_service.main import DEFINITION as INTERACTIONS
from relata_local.servers import EmbeddedServers

EVENTS, STATES, DEAD = "crm.contacts.events.v1", "crm.contacts.state.v1", dead_letter_topic(CUSTOMERS.name)
PARTITIONS = 6

# Kafka's own way to state that something was erased is a null value; compaction forgets even that after a while.
AT_ONCE = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0"}


async def settings_of(admin: AIOKafkaAdminClient, *topics: str) -> dict[str, dict[str, str]]:
    """The settings of topics as the broker applies them."""
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics])
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _, _, _, name, entries in answer.resources
    }


def change(servers: EmbeddedServers, topic: str, settings: dict[str, str]) -> None:
    """Change a topic's settings, as an operator may."""
    client = confluent.AdminClient({"bootstrap.servers": servers.kafka_bootstrap})
    entries = [
        confluent.ConfigEntry(name, value, incremental_operation=confluent.AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = confluent.ConfigResource(confluent.ResourceType.TOPIC, topic, incremental_configs=entries)
    for done in client.incremental_alter_configs([resource]).values():
        done.result(timeout=10)


async def test_topics_are_made_with_the_partitions_retention_and_compaction_that_the_contract_promises(
    broker: EmbeddedServers, launch: Any, published: Any, eventually: Any
) -> None:
    contacts = await launch(CONTACTS, kafka_partitions=PARTITIONS)
    await published(contacts, 0)

    async def consuming() -> bool:
        return all(consumer.ready for consumer in contacts.runtime.consumers)

    await eventually(consuming)
    admin = contacts.runtime.kafka.admin()
    await admin.start()
    try:
        topics = {one["topic"]: one for one in await admin.describe_topics([EVENTS, STATES, DEAD])}
        settings = await settings_of(admin, EVENTS, STATES, DEAD)
    finally:
        await admin.close()

    assert {name: len(one["partitions"]) for name, one in topics.items()} == dict.fromkeys(topics, PARTITIONS)
    assert {name: one["cleanup.policy"] for name, one in settings.items()} == {
        EVENTS: "delete",
        STATES: "compact",
        DEAD: "delete",
    }
    # a week by default
    assert (settings[EVENTS]["retention.ms"], settings[DEAD]["retention.ms"]) == ("-1", "-1")
    assert (settings[EVENTS]["retention.bytes"], settings[DEAD]["retention.bytes"]) == ("-1", "-1")
    assert {one["min.insync.replicas"] for one in settings.values()} == {"1"}


async def test_a_service_with_another_partition_count_is_not_ready_and_says_why(
    broker: EmbeddedServers, launch: Any, published: Any, eventually: Any
) -> None:
    first = await launch(CONTACTS, roles=("relay",), kafka_partitions=PARTITIONS)
    await published(first, 0)

    second = await launch(CONTACTS, roles=("project",), kafka_partitions=PARTITIONS + 1)

    async def refused() -> bool:
        return f"{EVENTS} has 6 partitions; KAFKA_PARTITIONS says 7" in (await second.client.get("/readyz")).text

    await eventually(refused)


async def test_two_services_that_make_the_same_topic_at_once_both_go_on(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings]
) -> None:
    kafkas = [Kafka(settings_for(service)) for service in ("contacts", "customer360", "segmentation")]
    admins = [kafka.admin() for kafka in kafkas]
    try:
        await asyncio.gather(*(admin.start() for admin in admins))
        topics = [Topic(f"crm.test{number}.events.v1") for number in range(20)]
        await asyncio.gather(*(kafka.ensure_topics(admin, topics) for kafka, admin in zip(kafkas, admins, strict=True)))
        found = await admins[0].describe_topics([topic.name for topic in topics])
    finally:
        await asyncio.gather(*(admin.close() for admin in admins))

    assert [len(one["partitions"]) for one in found] == [4] * 20


async def test_more_copies_than_brokers_are_refused_readably(
    broker: EmbeddedServers, launch: Any, eventually: Any
) -> None:
    service = await launch(INTERACTIONS, roles=("relay",), kafka_replication_factor=3)

    async def refused() -> bool:
        told = (await service.client.get("/readyz")).text
        return "cannot create topic crm.interactions.events.v1" in told and "replication factor" in told.lower()

    await eventually(refused)


@pytest.mark.timeout(180)
async def test_the_state_topic_compacts_to_the_last_state_of_each_customer_and_forgets_the_erased(
    broker: EmbeddedServers, launch: Any, identify: Any, published: Any, read_topic: Any, eventually: Any
) -> None:
    # given many states of one customer, and one who is erased: a null value
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    kafka = contacts.runtime.kafka
    await published(contacts, 0)
    await asyncio.to_thread(change, broker, STATES, AT_ONCE)
    lan = (await identify(contacts, "lan@example.com"))["customer_id"]
    minh = (await identify(contacts, "minh@example.com"))["customer_id"]
    for number in range(10):
        put = await contacts.client.put(f"/v1/customers/{lan}/tags/t{number}")
        await published(contacts, put.json()["position"])
    producer = kafka.producer()
    await producer.start()
    await producer.send_and_wait(STATES, None, key=minh.encode(), partition=kafka.partition_of(minh.encode()))

    # when segments are closed by later records in every partition
    async def compacted() -> bool:
        for number in range(kafka.partitions):
            await producer.send_and_wait(STATES, b"{}", key=f"filler {uuid.uuid4()}".encode(), partition=number)
        await asyncio.sleep(0.5)
        keys = [record.key.decode() for record in await read_topic(kafka, STATES)]
        return keys.count(lan) == 1 and minh not in keys

    await eventually(compacted, seconds=120)
    await producer.stop()

    # then one state is left, the last
    left = [record for record in await read_topic(kafka, STATES) if record.key.decode() == lan]
    assert b'"t9"' in left[0].value
