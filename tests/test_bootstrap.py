"""A copy that begins complete: the example, the gap that it closes, and the order that would miss an event."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from examples import bootstrap
from tests.publication import Publication

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts import EventData
from crm_contracts.events.contacts import CustomerState, CustomerTagged, Profile
from crm_shared.kafka import Topic
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

KHAI, LAN = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e", "00000000-0000-4000-8000-000000000002"


def tagged(tag: str, customer: str = KHAI) -> EventData:
    return CustomerTagged(customer_id=customer, tag=tag)


def state(*tags: str, customer: str = KHAI) -> EventData:
    return CustomerState(customer_id=customer, identifiers=[], profile=Profile(), tags=list(tags))


@pytest_asyncio.fixture
async def relay(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[Publication]:
    async with Publication(settings_for("contacts")) as publication:
        await publication.create(Topic(bootstrap.EVENTS), Topic(bootstrap.STATES, compacted=True))
        yield publication


async def followed(events: AsyncIterator[tuple[dict[str, str], dict[str, Any]]], until: str) -> list[str]:
    """The tags that the events tell of, up to one."""
    seen: list[str] = []
    async with aclosing(events) as running:  # type: ignore[type-var]
        async for _, data in running:
            seen.append(data["tag"])
            if seen[-1] == until:
                return seen
    raise AssertionError("the events ended")


async def test_nothing_is_missed_and_nothing_comes_twice_whatever_happens_in_between(relay: Publication) -> None:
    # given customers in both topics, and a watermark after them
    await relay.send(tagged("one"), 1)
    await relay.send(state("one"), 1)
    await relay.send(tagged("lan", LAN), 2)
    await relay.send(state("lan", customer=LAN), 2)
    await relay.watermark("contacts", 2)
    # when a copy begins, and something happens after each of its steps
    noted = await bootstrap.note_watermarks(relay.servers)
    await relay.send(tagged("before the state is read"), 3)
    await relay.send(state("one", "before the state is read"), 3)
    copy = await bootstrap.read_state(relay.servers)
    await relay.send(tagged("after the state is read"), 4)
    await relay.send(state("one", "before the state is read", "after the state is read"), 4)
    await relay.watermark("contacts", 4)
    await relay.send(tagged("last"), 5)
    # then the state holds what came before it was read, and the events bring the rest
    assert [tag for _, held in copy.values() for tag in held["tags"]] in (
        ["one", "before the state is read", "lan"],
        ["lan", "one", "before the state is read"],
    )
    events = bootstrap.follow(relay.servers, noted, copy)
    assert await followed(events, "last") == ["after the state is read", "last"]


async def test_an_event_whose_state_is_still_on_its_way_is_waited_for(relay: Publication) -> None:
    # given a relay that has sent an event, but not yet its state nor the watermark after both
    await relay.watermark("contacts", 0)
    await relay.send(tagged("sent"), 1)
    # when a copy begins meanwhile
    noting = asyncio.create_task(bootstrap.note_watermarks(relay.servers))
    await asyncio.sleep(2)
    await relay.send(state("sent"), 1)
    await relay.watermark("contacts", 1)
    noted = await noting
    copy = await bootstrap.read_state(relay.servers)
    await relay.send(tagged("last"), 2)
    # then the event is in the state, because nothing was read before there was a watermark after it
    assert [held["tags"] for _, held in copy.values()] == [["sent"]]
    assert await followed(bootstrap.follow(relay.servers, noted, copy), "last") == ["last"]


async def test_the_end_of_the_events_noted_after_the_state_would_miss_what_came_in_between(relay: Publication) -> None:
    await relay.send(tagged("one"), 1)
    await relay.send(state("one"), 1)
    await relay.watermark("contacts", 1)
    # when the state is read first, and the events are followed from where they end then
    copy = await bootstrap.read_state(relay.servers)
    await relay.send(tagged("in between"), 2)
    await relay.send(state("one", "in between"), 2)
    await relay.watermark("contacts", 2)
    noted = await bootstrap.note_watermarks(relay.servers)
    await relay.send(tagged("last"), 3)
    # then it is neither in the state nor among the events: the gap is real
    assert [held["tags"] for _, held in copy.values()] == [["one"]]
    assert await followed(bootstrap.follow(relay.servers, noted, copy), "last") == ["last"]


async def test_an_erased_customer_is_not_in_the_copy(relay: Publication) -> None:
    sent = await relay.send(state("one"), 1)
    await relay.send_raw(bootstrap.STATES, sent.key, None, sent.headers)
    await relay.send(state("lan", customer=LAN), 3)
    assert list(await bootstrap.read_state(relay.servers)) == [LAN.encode()]


@pytest.mark.parametrize("watermarked", [True, False])
async def test_the_noted_offsets_follow_a_watermark_of_each_partition(relay: Publication, watermarked: bool) -> None:
    await relay.watermark("contacts", 0)
    for number in range(1, 20):
        await relay.send(tagged(f"tag {number}", f"00000000-0000-4000-8000-{number:012}"), number)
        if watermarked:
            await relay.watermark("contacts", number)
    await relay.watermark("contacts", 20)
    noted = await bootstrap.note_watermarks(relay.servers)
    assert len(noted) == relay.kafka.partitions
    async with AIOKafkaConsumer(bootstrap.EVENTS, bootstrap_servers=relay.servers) as consumer:
        for partition, offset in noted.items():
            consumer.seek(partition, offset - 1)
            record = await consumer.getone(partition)
            assert record.offset == offset - 1
            assert dict(record.headers)["ce_type"] == b"crm.contacts.Watermark.v1"


async def test_the_watermarks_of_a_running_relay_are_enough_to_begin_with(broker: EmbeddedServers, launch: Any) -> None:
    # given contacts with customers, and its relay at rest
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    servers = contacts.runtime.settings.kafka_bootstrap_servers

    async def identify(email: str) -> None:
        body = {"source": "webshop", "identifiers": [{"type": "email", "value": email}]}
        (await contacts.client.post("/v1/customers/identify", json=body)).raise_for_status()

    for number in range(30):
        await identify(f"customer{number}@example.com")
    # when a copy begins, while customers keep coming
    noted = await bootstrap.note_watermarks(servers)
    await identify("between@example.com")
    copy = await bootstrap.read_state(servers)
    await identify("last@example.com")
    # then each customer is either in the state or among the events, and none is in both
    known = [held["identifiers"][0]["value"] for _, held in copy.values()]
    async with aclosing(bootstrap.follow(servers, noted, copy)) as events:  # type: ignore[type-var]
        async for _, data in events:
            known.append(data["identifiers"][0]["value"])
            if known[-1] == "last@example.com":
                break
    assert sorted(known) == sorted(
        [*(f"customer{number}@example.com" for number in range(30)), "between@example.com", "last@example.com"]
    )
