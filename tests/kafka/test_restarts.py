"""A broker that is restarted, or dies, under load: commands go on, and relay and projector resume where they were."""

import asyncio
import time
from collections import defaultdict
from typing import Any

import pytest

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.envelope import PublicEvent, decode
from relata_local.servers import EmbeddedServers

EVENTS = "crm.contacts.events.v1"
DOWN_SECONDS = 2.0


@pytest.mark.timeout(300)
async def test_a_broker_that_restarts_and_dies_under_load_loses_nothing_and_keeps_the_order(
    broker: EmbeddedServers, launch: Any, identify: Any, published: Any, caught_up: Any, read_topic: Any
) -> None:
    # given customers whose tags change all the time
    contacts = await launch(CONTACTS)
    customers = [(await identify(contacts, f"customer{number}@example.com"))["customer_id"] for number in range(10)]
    cluster = broker.broker.cluster_id
    tags: dict[str, list[str]] = defaultdict(list)
    last = 0
    loading = True

    async def load(customer: str) -> None:
        nonlocal last
        while loading:
            tag = f"t{len(tags[customer])}"
            answer = await contacts.client.put(f"/v1/customers/{customer}/tags/{tag}")
            assert answer.status_code in (200, 201), answer.text
            tags[customer].append(tag)
            last = max(last, answer.json()["position"])
            await asyncio.sleep(0.05)

    work = asyncio.gather(*(load(customer) for customer in customers))
    await asyncio.sleep(2)

    # when the broker is stopped for a while, and later killed
    for end in (broker.broker.stop, broker.broker.kill):
        await asyncio.to_thread(end)
        await asyncio.sleep(DOWN_SECONDS)
        await asyncio.to_thread(broker.broker.start)
        await published(contacts, last)
        await asyncio.sleep(1)
    loading = False
    await work
    await published(contacts, last)
    await caught_up(contacts, last, of="contacts")

    # then every event is there, each customer's in order, and the view has all of them
    assert broker.broker.cluster_id == cluster
    events = [decode(one.key, one.value, one.headers) for one in await read_topic(contacts.runtime.kafka, EVENTS)]
    arrived: dict[str, dict[str, PublicEvent]] = defaultdict(dict)
    for event in events:
        arrived[event.key].setdefault(event.id, event)
    assert {
        customer: [event.data["tag"] for event in list(found.values())[1:]] for customer, found in arrived.items()
    } == tags
    for found in arrived.values():
        assert [event.stream_version for event in found.values()] == list(range(1, len(found) + 1))
    view = {one["_id"]: one async for one in contacts.runtime.database["customers"].find()}
    assert {customer: sorted(one["tags"]) for customer, one in view.items()} == {
        customer: sorted(given) for customer, given in tags.items()
    }
    # Only what was on its way at the kill may have come twice.
    assert len(events) - len({event.id for event in events}) < len(events) / 4


@pytest.mark.timeout(300)
async def test_a_broker_that_is_replaced_while_records_are_on_their_way_gets_the_whole_history(
    broker: EmbeddedServers, launch: Any, identify: Any, published: Any, read_topic: Any, eventually: Any
) -> None:
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    for number in range(20):
        before = await identify(contacts, f"before{number}@example.com")
    await published(contacts, before["position"])

    await asyncio.to_thread(broker.broker.kill)
    for number in range(20):
        await identify(contacts, f"meanwhile{number}@example.com")
    await asyncio.sleep(DOWN_SECONDS)
    await asyncio.to_thread(broker.broker.restart)

    async def everything() -> bool:
        admin = contacts.runtime.kafka.admin()
        await admin.start()
        try:
            known = EVENTS in await admin.list_topics()
        finally:
            await admin.close()
        return known and len(await read_topic(contacts.runtime.kafka, EVENTS)) >= 40

    await eventually(everything, seconds=90)
    records = await read_topic(contacts.runtime.kafka, EVENTS)
    assert len({decode(one.key, one.value, one.headers).id for one in records}) == 40


@pytest.mark.timeout(300)
async def test_a_service_stops_within_seconds_while_the_broker_is_down(
    broker: EmbeddedServers, launch: Any, identify: Any, published: Any, caught_up: Any
) -> None:
    # given records that are on their way when the broker dies
    contacts = await launch(CONTACTS)
    done = await identify(contacts, "lan@example.com")
    await published(contacts, done["position"])
    await caught_up(contacts, done["position"], of="contacts")
    await asyncio.to_thread(broker.broker.kill)
    for number in range(5):
        await contacts.client.put(f"/v1/customers/{done['customer_id']}/tags/t{number}")
    await asyncio.sleep(DOWN_SECONDS)

    # when it is told to stop
    started = time.monotonic()
    await contacts.stop()

    # then it does, and none of its roles had ended before
    assert time.monotonic() - started < 15
    assert all(task.cancelled() for task in contacts.tasks)
    await asyncio.to_thread(broker.broker.start)


@pytest.mark.timeout(300)
async def test_a_service_says_that_it_is_not_ready_while_the_broker_is_down_and_heals_by_itself(
    broker: EmbeddedServers, launch: Any, identify: Any, caught_up: Any, eventually: Any
) -> None:
    contacts = await launch(CONTACTS)
    first = await identify(contacts, "lan@example.com")
    await caught_up(contacts, first["position"], of="contacts")

    await asyncio.to_thread(broker.broker.kill)

    async def told() -> bool:
        checks = (await contacts.client.get("/readyz")).json()["checks"]
        reasons = {one["check"].split()[0]: one.get("error", "") for one in checks}
        return broker.kafka_bootstrap in reasons["relay"] and bool(reasons["projection"])

    await eventually(told)
    assert not any(task.done() for task in contacts.tasks)
    last = await identify(contacts, "minh@example.com")
    await asyncio.to_thread(broker.broker.start)
    await caught_up(contacts, last["position"], of="contacts")

    async def ready() -> bool:
        return bool((await contacts.client.get("/readyz")).status_code == 200)

    await eventually(ready)
