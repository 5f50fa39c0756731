"""From the log to the broker: order, envelope, one relay at a time, and a broker that has lost everything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.envelope import HEADER_NAMES, decode
from crm_shared.kafka import Kafka
from crm_shared.publishing.positions import SAVE_SECONDS, Positions
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

EVENTS, STATES = "crm.contacts.events.v1", "crm.contacts.state.v1"
WITHOUT_VIEWS = ("api", "relay")


async def read_topic(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """Everything that the topic holds now, but its watermarks."""
    kafka = Kafka(settings)
    consumer: AIOKafkaConsumer = kafka.consumer(group=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(record for record in records if record.key is not None)
        return found
    finally:
        await consumer.stop()


async def identify(client: httpx.AsyncClient, email: str, **more: Any) -> dict[str, Any]:
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": email}], **more}
    answer = await client.post("/v1/customers/identify", json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def published(eventually: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """Waits until a relay has the broker's acknowledgement up to a position."""

    async def wait(launched: Any, position: int) -> None:
        async def reached() -> bool:
            return bool(launched.runtime.relay.leading and launched.runtime.relay.position >= position)

        await eventually(reached)

    return wait


def essence(record: ConsumerRecord) -> tuple[Any, ...]:
    return (record.partition, record.key, record.value, tuple(record.headers))


async def test_every_public_event_arrives_once_in_log_order_with_the_whole_envelope(
    broker: EmbeddedServers, launch: Any, published: Any, settings_for: Callable[[str], Settings]
) -> None:
    contacts = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    headers = {"X-Actor-Id": "integration-7", "X-Correlation-Id": "chain-1"}

    first = await identify(contacts.client, "lan@example.com", occurred_at="1997-01-18T07:00:00+07:00")
    customer_id = first["customer_id"]
    for number in range(20):
        last = await contacts.client.put(f"/v1/customers/{customer_id}/tags/t{number}", headers=headers)
    await identify(contacts.client, "minh@example.com")
    await published(contacts, last.json()["position"] + 2)

    records = await read_topic(settings_for("contacts"), EVENTS)
    mine = [record for record in records if record.key.decode() == customer_id]
    events = [decode(record.key, record.value, record.headers) for record in mine]
    assert len(records) == 22
    assert [event.name for event in events] == ["CustomerIdentified"] + ["CustomerTagged"] * 20
    assert [event.stream_version for event in events] == list(range(1, 22))
    assert events[0].sequence == first["position"]
    assert sorted(event.sequence for event in events) == [event.sequence for event in events]
    assert len({record.partition for record in mine}) == 1
    assert sorted(name for name, _ in mine[0].headers) == sorted(HEADER_NAMES)
    assert events[0].occurred_at.isoformat() == "1997-01-18T00:00:00+00:00"
    assert events[1].actor == "integration-7"
    assert events[1].correlation_id == "chain-1"


async def test_the_state_topic_holds_each_customers_last_state(
    broker: EmbeddedServers, launch: Any, published: Any, settings_for: Callable[[str], Settings]
) -> None:
    contacts = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    first = await identify(contacts.client, "lan@example.com", profile={"name": "Nguyễn Thị Lan"})
    customer = f"/v1/customers/{first['customer_id']}"
    await contacts.client.put(f"{customer}/tags/vip")
    last = (await contacts.client.patch(customer, json={"profile": {"language": "vi"}})).json()["position"]
    await published(contacts, last)

    states = await read_topic(settings_for("contacts"), STATES)

    state = decode(states[-1].key, states[-1].value, states[-1].headers)
    assert state.name == "CustomerState"
    assert state.sequence == last
    assert state.data["profile"]["name"] == "Nguyễn Thị Lan"
    assert state.data["profile"]["language"] == "vi"
    assert state.data["tags"] == ["vip"]


@pytest.mark.slow
async def test_a_wiped_broker_gets_the_same_history_again_byte_for_byte(
    broker: EmbeddedServers,
    launch: Any,
    published: Any,
    settings_for: Callable[[str], Settings],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    contacts = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    for number in range(50):
        last = (await identify(contacts.client, f"customer{number}@example.com"))["position"]
    await published(contacts, last)
    before = await read_topic(settings_for("contacts"), EVENTS)

    broker.broker.restart()
    later = (await identify(contacts.client, "after@example.com"))["position"]

    async def published_again() -> bool:
        try:
            return len(await read_topic(settings_for("contacts"), EVENTS)) >= 51
        except KafkaError:
            return False

    await eventually(published_again)
    after = await read_topic(settings_for("contacts"), EVENTS)
    assert {essence(record) for record in before} < {essence(record) for record in after}
    assert max(decode(record.key, record.value, record.headers).sequence for record in after) == later


async def test_of_two_relays_one_works_and_the_other_takes_over(
    broker: EmbeddedServers,
    launch: Any,
    published: Any,
    settings_for: Callable[[str], Settings],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    first = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    await published(first, 0)
    second = await launch(CONTACTS, roles=("relay",))

    async def stands_by() -> bool:
        return bool(second.runtime.relay.standing_by)

    await eventually(stands_by)
    assert first.runtime.relay.leading
    assert not second.runtime.relay.leading
    for number in range(10):
        await identify(first.client, f"customer{number}@example.com")
    await first.stop()
    last = (await identify(first.client, "after@example.com"))["position"]
    await published(second, last)

    records = await read_topic(settings_for("contacts"), EVENTS)
    events = [decode(record.key, record.value, record.headers) for record in records]
    assert len({event.id for event in events}) == 11
    assert second.runtime.relay.leading


async def test_a_restarted_relay_goes_on_where_it_was(
    broker: EmbeddedServers, launch: Any, published: Any, settings_for: Callable[[str], Settings]
) -> None:
    first = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    before = (await identify(first.client, "before@example.com"))["position"]
    await published(first, before)
    await first.stop()

    second = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    after = (await identify(second.client, "after@example.com"))["position"]
    await published(second, after)

    records = await read_topic(settings_for("contacts"), EVENTS)
    assert len(records) == 2


async def test_what_a_killed_relay_sends_again_is_the_last_of_it_with_the_same_bytes(
    broker: EmbeddedServers,
    launch: Any,
    published: Any,
    settings_for: Callable[[str], Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a relay that ends without saving its position, a moment after it has sent something
    save = Positions.save

    async def save_unless_it_ends(positions: Positions, position: int, *, now: bool = False) -> None:
        if not now:
            await save(positions, position)

    monkeypatch.setattr(Positions, "save", save_unless_it_ends)
    first = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    for number in range(3):
        early = (await identify(first.client, f"early{number}@example.com"))["position"]
    await published(first, early)
    await asyncio.sleep(2 * SAVE_SECONDS)
    for number in range(3):
        late = (await identify(first.client, f"late{number}@example.com"))["position"]
    await published(first, late)
    await first.stop()

    # when the next one goes on
    second = await launch(CONTACTS, roles=WITHOUT_VIEWS)
    last = (await identify(second.client, "last@example.com"))["position"]
    await published(second, last)

    # then only what came after the last saved position is there twice
    records = await read_topic(settings_for("contacts"), EVENTS)
    times = Counter(essence(record) for record in records)
    twice = [decode(key, value, headers).sequence for (_, key, value, headers), count in times.items() if count > 1]
    assert len(times) == 7
    assert all(early < position <= late for position in twice)
