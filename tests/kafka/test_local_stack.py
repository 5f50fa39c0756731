"""The local stack on Apache Kafka (`crm up --broker apache`) keeps its topics; its data may change brokers."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from relata_kafka import ApacheKafka
from relata_local import EmbeddedServers, Stack
from relata_local.broker import BrokerFactory, BrokerServer
from relata_local.tail import WATERMARK, follow

SERVICES = ("contacts", "customer360")


def identify(stack: Stack, email: str) -> str:
    body = {"source": "tests", "identifiers": [{"type": "email", "value": email}]}
    answer = httpx.post(f"{stack.url('contacts')}/v1/customers/identify", json=body)
    answer.raise_for_status()
    return str(answer.json()["customer_id"])


def await_view(stack: Stack, customer: str) -> None:
    deadline = time.monotonic() + 60
    while httpx.get(f"{stack.url('customer360')}/v1/customers/{customer}").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def await_events(stack: Stack, customers: set[str]) -> list[str]:
    """Whom the events on the broker are about, once they are about all of these."""

    async def read() -> list[str]:
        history = follow(stack.servers.kafka_bootstrap, from_beginning=True, until_end=True)
        return [event.headers["ce_subject"] async for event in history if event.type != WATERMARK]

    deadline = time.monotonic() + 60
    while True:
        subjects = asyncio.run(read())
        if set(subjects) == customers:
            return subjects
        assert time.monotonic() < deadline
        time.sleep(0.5)


def started(data: Path, broker: BrokerFactory) -> Stack:
    return Stack(data, services=SERVICES, broker=broker)


@pytest.mark.timeout(400)
def test_topics_are_kept_over_restarts_on_other_ports_and_brokers_can_be_switched(
    tmp_path: Path, servers: EmbeddedServers
) -> None:
    with started(tmp_path, ApacheKafka) as stack:
        lan = identify(stack, "lan@example.com")
        await_view(stack, lan)
        first = stack.servers.broker.cluster_id

    with started(tmp_path, ApacheKafka) as stack:
        assert stack.servers.broker.cluster_id == first
        assert await_events(stack, {lan}) == [lan]  # kept, and not published again

    with started(tmp_path, BrokerServer) as stack:
        minh = identify(stack, "minh@example.com")
        await_view(stack, minh)
        await_events(stack, {lan, minh})  # the whole history on an empty broker

    with started(tmp_path, ApacheKafka) as stack:
        assert stack.servers.broker.cluster_id == first
        await_events(stack, {lan, minh})  # what Apache Kafka had missed
        tom = identify(stack, "tom@example.com")
        await_view(stack, tom)
