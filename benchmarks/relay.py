"""The relay from the log to the broker's acknowledgement, against the same bytes sent by aiokafka alone."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from benchmarks.harness import Bench, Row, ratios
from benchmarks.purchases import customer_ids, events, records, store
from crm_contracts.envelope import Record
from crm_contracts.registry import events_topic
from crm_shared.kafka import Kafka, Topic
from crm_shared.postgres import EventSourcedApplication
from crm_shared.process import create_schema
from crm_shared.publishing import Relay
from crm_shared.settings import Settings
from interactions_service import publishing
from relata_local import EmbeddedServers

NAME = "relay"
EVENTS = 20_000
IN_FLIGHT = 500


async def run(bench: Bench) -> list[Row]:
    """Each turn meets an empty broker, so that the relay starts from the beginning and memory does not grow."""
    with bench.servers() as servers:
        settings = bench.settings(servers)
        create_schema(settings, "interactions")
        application = EventSourcedApplication(settings.eventsourcing_env("interactions"))
        bench.report(f"storing {EVENTS:,} events")
        stored = events(customer_ids(EVENTS), "relay")
        last = store(application, stored)
        sent = records(stored)
        figures = await bench.take_turns(
            {
                "relay": lambda: relayed(servers, settings, application, last),
                "aiokafka": lambda: sent_raw(servers, settings, sent),
            }
        )
        application.close()
    return [
        Row(
            "relay",
            "relay, log to acknowledged",
            f"aiokafka send of the same bytes, {IN_FLIGHT} in flight",
            ratios(figures["relay"], figures["aiokafka"]),
            0.8,
            absolute=figures,
            absolute_unit="events/s",
        )
    ]


async def relayed(
    servers: EmbeddedServers, settings: Settings, application: EventSourcedApplication, last: int
) -> float:
    """Events per second, from the moment that the relay leads until its last position is saved."""
    servers.broker.restart()
    relay = Relay(
        service="interactions",
        application=application,
        publish=publishing.publish,
        states=None,
        kafka=Kafka(settings),
        connection=settings.postgres_connection(),
        schema="interactions",
    )
    work = asyncio.create_task(relay.run())
    try:
        async with asyncio.timeout(120):
            while not relay.leading:
                await asyncio.sleep(0.001)
            begin = time.perf_counter()
            while relay.position < last:
                await asyncio.sleep(0.001)
            return EVENTS / (time.perf_counter() - begin)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def sent_raw(servers: EmbeddedServers, settings: Settings, sent: Sequence[Record]) -> float:
    """Records per second: a new one is sent whenever one of those in flight is acknowledged."""
    servers.broker.restart()
    async with producing(settings) as producer:
        flying: deque[asyncio.Future[Any]] = deque()
        begin = time.perf_counter()
        for record in sent:
            if len(flying) == IN_FLIGHT:
                await flying.popleft()
            flying.append(await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers)))
        for future in flying:
            await future
        return len(sent) / (time.perf_counter() - begin)


@contextlib.asynccontextmanager
async def producing(settings: Settings, topic: str = events_topic("interactions")) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as services have it, and a topic to send to."""
    kafka = Kafka(settings)
    admin, producer = kafka.admin(), kafka.producer()
    await admin.start()
    try:
        await kafka.ensure_topics(admin, [Topic(topic)])
        await producer.start()
        yield producer
    finally:
        await producer.stop()
        await admin.close()
