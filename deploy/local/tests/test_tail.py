"""Events are read from a real broker as another system would read them, and are readable in one line."""

import asyncio
import json
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from relata_local import EmbeddedServers
from relata_local.event_lines import one_line
from relata_local.tail import PassedEvent, event_filter, follow

CUSTOMER = str(uuid4())
TOPIC = "crm.interactions.events.v1"


def purchase(number: int, customer: str = CUSTOMER) -> tuple[bytes, list[tuple[str, bytes]]]:
    headers = {
        "ce_type": "crm.interactions.PurchaseRecorded.v1",
        "ce_source": "/interactions",
        "ce_subject": customer,
        "ce_time": "1997-01-12T00:00:00Z",
        "ce_sequence": f"{number:020}",
    }
    data = {"order_id": f"order-{number}", "total": {"amount": "77.00", "currency": "USD"}}
    return json.dumps(data).encode(), [(name, value.encode()) for name, value in headers.items()]


async def publish(bootstrap: str, *numbers: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False)
    await producer.start()
    try:
        for number in numbers:
            value, headers = purchase(number)
            await producer.send_and_wait(TOPIC, value, key=CUSTOMER.encode(), headers=headers)
    finally:
        await producer.stop()


async def publish_batch(bootstrap: str, partition: int, *numbers: int) -> None:
    """One batch to one partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False)
    await producer.start()
    try:
        batch = producer.create_batch()
        for number in numbers:
            value, headers = purchase(number)
            assert batch.append(key=None, value=value, timestamp=None, headers=headers)
        await (await producer.send_batch(batch, TOPIC, partition=partition))
    finally:
        await producer.stop()


async def make_topic(bootstrap: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, partitions, 1)])
    finally:
        await admin.close()


def passed(number: int, **headers: str) -> PassedEvent:
    value, known = purchase(number)
    texts = {name: value.decode() for name, value in known} | headers
    return PassedEvent(texts, json.loads(value), TOPIC, 0, 0)


def test_events_are_read_from_the_beginning_to_the_end_and_then_as_they_come(servers: EmbeddedServers) -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        servers.broker.restart()
        await publish(servers.kafka_bootstrap, 1, 2, 3)
        history = follow(servers.kafka_bootstrap, from_beginning=True, until_end=True)
        old = [event.position async for event in history]
        following = follow(servers.kafka_bootstrap, from_beginning=False, until_end=False)
        first = asyncio.ensure_future(anext(following))
        new: list[int] = []
        for number in range(4, 50):  # published until one arrives: the end is where the reader found it
            await publish(servers.kafka_bootstrap, number)
            done, _ = await asyncio.wait([first], timeout=0.2)
            if done:
                new.append(first.result().position)
                break
        await following.aclose()
        return old, new

    old, new = asyncio.run(scenario())

    assert old == [1, 2, 3]
    assert new
    assert new[0] > 3


def test_nothing_of_the_last_batches_is_missed_though_the_broker_reports_too_small_ends(
    servers: EmbeddedServers,
) -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        servers.broker.restart()
        bootstrap = servers.kafka_bootstrap
        await make_topic(bootstrap, 4)
        await publish_batch(bootstrap, 0, *range(1, 21))
        await publish_batch(bootstrap, 1, 21)
        await publish_batch(bootstrap, 1, *range(22, 31))
        await publish_batch(bootstrap, 2, 31)
        history = follow(bootstrap, from_beginning=True, until_end=True)
        old = [event.position async for event in history]
        following = follow(bootstrap, from_beginning=False, until_end=False)
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(2)  # it has long looked where the topics end
        assert not first.done()
        await publish_batch(bootstrap, 0, 32)
        new = [(await first).position]
        await following.aclose()
        return old, new

    old, new = asyncio.run(scenario())

    assert sorted(old) == list(range(1, 32))
    assert new == [32]


def test_watermarks_are_shown_to_those_who_ask_for_them_only() -> None:
    watermark = passed(9, ce_type="crm.interactions.Watermark.v1", ce_subject="")

    assert not event_filter([], None)(watermark)
    assert event_filter(["Watermark"], None)(watermark)
    assert event_filter(["crm.interactions.Watermark.v1"], None)(watermark)


def test_an_event_is_one_line_for_people() -> None:
    line = one_line(passed(1234))

    start = f"1997-01-12 00:00:00  interactions:1234    PurchaseRecorded         {CUSTOMER[:8]}"
    assert line == f"{start}  77.00 USD, order order-1234"


def test_an_event_of_an_unknown_type_still_shows_its_envelope() -> None:
    line = one_line(passed(7, ce_type="crm.interactions.CaseOpened.v1"))

    assert "interactions:7" in line
    assert line.endswith(f"CaseOpened               {CUSTOMER[:8]}")


def test_an_escape_sequence_in_an_event_cannot_command_the_terminal() -> None:
    line = one_line(passed(7, ce_subject="\x1b[2Jgone"))

    assert "\x1b" not in line


def test_events_can_be_chosen_by_type_and_customer() -> None:
    event = passed(1)

    assert event_filter([], None)(event)
    assert event_filter(["PurchaseRecorded"], CUSTOMER)(event)
    assert event_filter(["crm.interactions.PurchaseRecorded.v1"], None)(event)
    assert not event_filter(["InteractionLogged"], None)(event)
    assert not event_filter([], str(uuid4()))(event)
