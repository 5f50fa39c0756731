"""Subscribers that are not ours: librdkafka, Kafka's Java client, and the example of the documentation."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import pytest_asyncio
from aiokafka import ConsumerRecord

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.envelope import HEADER_NAMES, decode
from relata_kafka import jars
from relata_local.servers import EmbeddedServers

EVENTS = "crm.contacts.events.v1"
CUSTOMERS = 30
PARTITIONS = 4
SECONDS = 60


@pytest_asyncio.fixture
async def records(
    broker: EmbeddedServers, launch: Any, identify: Any, published: Any, read_topic: Any
) -> Sequence[ConsumerRecord]:
    """What contacts has published of some customers, as our own client reads it."""
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    for number in range(CUSTOMERS):
        customer = (await identify(contacts, f"customer{number}@example.com"))["customer_id"]
        last = await contacts.client.put(f"/v1/customers/{customer}/tags/khách hàng")
    await published(contacts, last.json()["position"])
    found: list[ConsumerRecord] = await read_topic(contacts.runtime.kafka, EVENTS)
    assert len(found) == 2 * CUSTOMERS
    return found


def read_by_confluent(servers: str, count: int) -> list[confluent_kafka.Message]:
    """Read by librdkafka, from the beginning."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": servers, "group.id": "a-librdkafka-subscriber", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([EVENTS])
    try:
        found: list[confluent_kafka.Message] = []
        while len(found) < count and (more := consumer.consume(count - len(found), timeout=SECONDS)):
            found.extend(one for one in more if one.error() or one.key() is not None)
        consumer.commit(asynchronous=False)
        return found
    finally:
        consumer.close()


async def test_librdkafka_reads_the_envelope_of_every_record(
    broker: EmbeddedServers, records: Sequence[ConsumerRecord]
) -> None:
    found = await asyncio.to_thread(read_by_confluent, broker.kafka_bootstrap, len(records))

    assert [one.error() for one in found] == [None] * len(records)
    for message in found:
        event = decode(message.key(), message.value(), message.headers())
        assert sorted(name for name, _ in message.headers()) == sorted(HEADER_NAMES)
        assert event.key == event.subject == message.key().decode()
        assert event.name in {"CustomerIdentified", "CustomerTagged"}
    assert {(one.partition(), one.offset(), one.key(), one.value(), tuple(one.headers())) for one in found} == {
        (one.partition, one.offset, one.key, one.value, tuple(one.headers)) for one in records
    }


async def test_librdkafka_with_murmur2_random_puts_a_customer_on_the_same_partition(
    broker: EmbeddedServers, records: Sequence[ConsumerRecord]
) -> None:
    ours = {record.key: record.partition for record in records}
    theirs: dict[bytes, int] = {}

    def produce() -> None:
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": broker.kafka_bootstrap, "partitioner": "murmur2_random"}
        )
        for key in ours:
            producer.produce(
                EVENTS, key=key, value=b"{}", on_delivery=lambda _, one: theirs.update({one.key(): one.partition()})
            )
        producer.flush(SECONDS)

    await asyncio.to_thread(produce)

    assert theirs == ours
    assert len(set(ours.values())) == PARTITIONS


@pytest.mark.timeout(300)
async def test_kafkas_java_client_reads_the_envelope_and_agrees_on_the_partition(
    broker: EmbeddedServers, records: Sequence[ConsumerRecord]
) -> None:
    program = Path(__file__).with_name("Subscriber.java")
    command = [jars.java(), "-Xmx128m", "-cp", jars.classpath(), program, broker.kafka_bootstrap, EVENTS, len(records)]

    done = await asyncio.to_thread(
        subprocess.run,
        [str(one) for one in command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=2 * SECONDS,
    )

    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") > 3]
    assert len(lines) == len(records)
    seen = set()
    for partition, chosen, key, value, *headers in lines:
        named = [header.partition("=") for header in headers]
        event = decode(key.encode(), value.encode(), [(name, text.encode()) for name, _, text in named])
        assert partition == chosen
        assert sorted(name for name, _, _ in named) == sorted(HEADER_NAMES)
        seen.add((int(partition), key, event.sequence, json.dumps(event.data, sort_keys=True)))
    ours = [(one.partition, decode(one.key, one.value, one.headers)) for one in records]
    assert seen == {
        (partition, event.key, event.sequence, json.dumps(event.data, sort_keys=True)) for partition, event in ours
    }


async def test_the_documentations_subscriber_prints_each_event_once_also_after_a_restart(
    broker: EmbeddedServers, records: Sequence[ConsumerRecord], project_root: Path
) -> None:
    printed: list[str] = []

    async def print_until(count: int) -> None:
        """Run the subscriber until that many different events are printed, then stop it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(project_root / "examples" / "plain_subscriber.py"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.kafka_bootstrap, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while len(set(printed)) < count:
                printed.append((await process.stdout.readline()).decode().strip())
        process.terminate()
        printed.extend((await process.communicate())[0].decode().splitlines())

    await print_until(CUSTOMERS)
    await print_until(2 * CUSTOMERS)

    assert {line.split()[0] for line in printed} == {
        "crm.contacts.CustomerIdentified.v1",
        "crm.contacts.CustomerTagged.v1",
    }
    assert len(set(printed)) == 2 * CUSTOMERS
    # What was printed and not yet committed when it was stopped comes again.
    assert len(printed) <= 2 * CUSTOMERS + 1
