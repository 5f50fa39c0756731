"""Watermarks: what a query over many includes, and what a subscriber may conclude, once a partition has one."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from tests.publication import Publication

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.envelope import decode
from crm_contracts.events.contacts import CustomerIdentified, Profile
from crm_contracts.registry import events_topic
from crm_contracts.watermark import Watermark, read_watermark
from crm_shared.domain import PositionNotReached
from crm_shared.kafka import Kafka, Topic
from crm_shared.settings import Settings
from customer360_service.main import DEFINITION as CUSTOMER360
from interactions_service.main import DEFINITION as INTERACTIONS
from relata_local.servers import EmbeddedServers

TOPIC = "crm.interactions.events.v1"
CUSTOMERS = [str(UUID(int=number)) for number in range(1, 301)]


def purchases(system: str, count: int) -> bytes:
    drawn = random.Random(system)
    lines = [
        {
            "customer_id": drawn.choice(CUSTOMERS),
            "system": system,
            "order_id": str(number),
            "occurred_at": "2026-01-14T09:30:00Z",
            "total": {"amount": "1.25", "currency": "USD"},
        }
        for number in range(count)
    ]
    return b"\n".join(map(orjson.dumps, lines))


async def imported(client: httpx.AsyncClient, system: str, count: int) -> int:
    """The position of the last of so many purchases."""
    answer = await client.post(
        "/v1/purchases/import", content=purchases(system, count), headers={"Content-Type": "application/x-ndjson"}
    )
    positions: list[int] = [orjson.loads(line)["position"] for line in answer.text.splitlines()]
    assert len(positions) == count
    return max(positions)


async def everything(settings: Settings, holds: Callable[[list[ConsumerRecord]], bool]) -> list[ConsumerRecord]:
    """What the topic holds, read until `holds`."""
    kafka = Kafka(settings)
    consumer: AIOKafkaConsumer = kafka.consumer(group=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(TOPIC, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        while not holds(found):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()


def watermarks(records: list[ConsumerRecord]) -> dict[int, Watermark]:
    """The last watermark of each partition."""
    said = ((record.partition, read_watermark(record.headers, record.value)) for record in records)
    return {partition: watermark for partition, watermark in said if watermark is not None}


@pytest.mark.parametrize("count", [1, 7, 1_000, 6_000])
async def test_a_query_over_many_includes_everything_up_to_its_position(
    broker: EmbeddedServers, launch: Any, caught_up: Any, count: int
) -> None:
    interactions = await launch(INTERACTIONS)
    customer360 = await launch(CUSTOMER360)
    # The first of all waits for groups that form, which takes longer than a query does.
    await caught_up(customer360, await imported(interactions.client, "before", 1), of="interactions")

    for turn in range(1, 4):
        last = await imported(interactions.client, f"turn-{turn}", count)
        # A view that is not there within a query's patience says so, and never answers with less.
        while (
            answer := await customer360.client.get("/v1/kpis", params={"after": f"interactions:{last}"})
        ).status_code == 503:
            assert answer.json()["code"] == "position_not_reached"

        assert answer.status_code == 200, answer.text
        assert answer.json()["purchases"] == 1 + turn * count


async def test_every_partition_of_a_log_at_rest_ends_with_a_watermark_of_its_last_position(
    broker: EmbeddedServers, launch: Any, settings_for: Callable[[str], Settings]
) -> None:
    # given
    settings = settings_for("interactions")
    began = datetime.now(UTC)
    interactions = await launch(INTERACTIONS, roles=("api", "relay"))
    last = await imported(interactions.client, "webshop", 500)

    # when
    def at_rest(found: list[ConsumerRecord]) -> bool:
        said = watermarks(found)
        return len(said) == settings.kafka_partitions and all(one.sequence == last for one in said.values())

    records = await everything(settings, at_rest)

    # then each partition's watermarks rise, and nothing comes after the one that covers it
    covered = dict.fromkeys(range(settings.kafka_partitions), 0)
    for record in records:
        watermark = read_watermark(record.headers, record.value)
        if watermark is not None:
            assert (record.key, watermark.service) == (None, "interactions")
            assert watermark.sequence >= covered[record.partition]
            assert watermark.recorded_until < datetime.now(UTC)
            covered[record.partition] = watermark.sequence
        else:
            event = decode(record.key, record.value, record.headers)
            assert event.sequence > covered[record.partition]
            assert event.recorded_at > began
    assert set(covered.values()) == {last}


async def test_a_relay_that_takes_over_says_a_watermark_that_the_one_before_may_have_left_out(
    broker: EmbeddedServers,
    launch: Any,
    settings_for: Callable[[str], Settings],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    settings = settings_for("interactions")
    interactions = await launch(INTERACTIONS, roles=("api", "relay"))
    last = await imported(interactions.client, "webshop", 5)

    async def published() -> bool:
        return bool(interactions.runtime.relay.position >= last)

    await eventually(published)
    await interactions.stop()
    before = len(await everything(settings, lambda found: len(found) >= 5))

    await launch(INTERACTIONS, roles=("relay",))

    def said_again(found: list[ConsumerRecord]) -> bool:
        return len(watermarks(found[before:])) == settings.kafka_partitions

    assert {one.sequence for one in watermarks(await everything(settings, said_again)).values()} == {last}


async def test_a_query_about_one_customer_does_not_take_another_partitions_watermark_for_its_event(
    broker: EmbeddedServers, launch: Any, settings_for: Callable[[str], Settings], eventually: Any
) -> None:
    # given a view that has seen the watermarks of all partitions but that of the event, which is still to come
    view = await launch(CONTACTS, roles=("project",))
    progress = view.runtime.consumers[0].progress
    async with Publication(settings_for("contacts")) as publication:
        customer = "00000000-0000-4000-8000-000000000001"
        data = CustomerIdentified(customer_id=customer, source="test", identifiers=[], profile=Profile(), tags=[])
        await publication.create(Topic(events_topic("contacts")))
        others = set(range(publication.kafka.partitions)) - {publication.kafka.partition_of(customer.encode())}
        await publication.watermark("contacts", 7, only=others)

        async def seen() -> bool:
            known = await progress.load()
            return all(number in known and known[number].done == {"contacts": 7} for number in others)

        await eventually(seen)

        # then it waits for the event
        with pytest.raises(PositionNotReached):
            await progress.wait_for({"contacts": 7}, publication.kafka.partitions, of_all=False, seconds=0.3)
        await publication.send(data, 7)
        await progress.wait_for({"contacts": 7}, publication.kafka.partitions, of_all=False)
