"""Kafka clients whose connection ends at a bad moment, or a part of which has ended: none waits for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from contacts_service.main import DEFINITION as CONTACTS
from crm_shared.kafka import Kafka, Topic
from crm_shared.kafka.clients import Consumer, Stalled
from crm_shared.process.serving import loop_factory
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

TOPIC = "somewhere"


async def reader(kafka: Kafka) -> Consumer:
    """A consumer that has asked for records once."""
    admin = kafka.admin()
    await kafka.start(admin)
    await kafka.ensure_topics(admin, [Topic(TOPIC)])
    await admin.close()
    consumer = kafka.consumer(TOPIC, group=None)
    await consumer.start()
    await consumer.getmany(timeout_ms=100)
    return consumer


@pytest.mark.slow
def test_a_request_on_a_connection_that_was_just_closed_fails_as_the_client_expects_it(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings]
) -> None:
    async def scenario() -> None:
        consumer = await reader(Kafka(settings_for("contacts")))
        client: Any = consumer._client
        node = client.get_random_node()
        assert await client.ready(node)
        connection = next(one for (number, _), one in client._conns.items() if number == node)
        connection._writer.transport.abort()
        requests = []
        with contextlib.suppress(KafkaConnectionError):
            # It is told in a later turn of the loop than the one that closes its transport.
            while True:
                requests.append(asyncio.ensure_future(connection.send(MetadataRequest([]))))
                await asyncio.sleep(0)
        await asyncio.gather(*requests, return_exceptions=True)

        # It is made anew, and nothing has ended by it.
        assert await client.send(node, MetadataRequest([]))
        assert await consumer.getmany(timeout_ms=100) == {}
        await consumer.stop()

    # As the services' own loop.
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("part", ["_fetcher._fetch_task", "_client._sync_task"])
async def test_a_consumer_says_that_it_would_wait_for_ever(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings], part: str
) -> None:
    consumer = await reader(Kafka(settings_for("contacts")))

    await end(consumer, part)

    with pytest.raises(Stalled, match="has ended"):
        await consumer.getmany(timeout_ms=100)
    await consumer.stop()


@pytest.mark.slow
async def test_a_projector_whose_client_has_stopped_reading_begins_again_with_another(
    broker: EmbeddedServers, launch: Any, caught_up: Callable[..., Awaitable[None]]
) -> None:
    contacts = await launch(CONTACTS)
    consumer = contacts.runtime.consumers[0]

    async def identified(value: str) -> None:
        body = {"source": "test", "identifiers": [{"type": "email", "value": value}]}
        answer = (await contacts.client.post("/v1/customers/identify", json=body)).json()
        await caught_up(contacts, answer["position"], of="contacts")

    await identified("before@example.com")
    stalled = consumer._reader

    await end(stalled, "_fetcher._fetch_task")
    await identified("after@example.com")

    assert consumer._reader is not stalled


async def end(consumer: Any, part: str) -> None:
    """End a task of a client, given by its attributes, as an error would."""
    holder, attribute = part.split(".")
    task: asyncio.Task[None] = getattr(getattr(consumer, holder), attribute)
    task.cancel()
    await asyncio.wait([task])
