"""The extra for FastStream on a broker: each event once and typed, what becomes of poison, what a restart brings."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faststream.kafka import KafkaBroker
from tests.publication import Publication

from crm_contracts import EnvelopeError, PublicEvent
from crm_contracts.events.contacts import CustomerIdentified, CustomerState, CustomerTagged, CustomerUntagged, Profile
from crm_contracts.faststream import InMemory, dead_letter_topic, subscriber
from crm_shared.kafka import Topic
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

TOPIC = "crm.contacts.events.v1"
KHAI, LAN = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e", "00000000-0000-4000-8000-000000000002"


def tagged(tag: str, customer: str = KHAI) -> CustomerTagged:
    return CustomerTagged(customer_id=customer, tag=tag)


@pytest_asyncio.fixture
async def relay(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[Publication]:
    async with Publication(settings_for("contacts")) as publication:
        await publication.create(Topic(TOPIC), Topic("my-system.dlq"))
        yield publication


class Application:
    """A FastStream application of one subscriber: what its handler got, and what was given up."""

    def __init__(self, servers: str, **options: Any) -> None:
        self.got: list[tuple[int, str]] = []
        self.given_up: list[tuple[ConsumerRecord, Exception]] = []
        self.fails: Callable[[str], bool] = lambda tag: False
        self.broker = KafkaBroker(servers, logger=None)
        # The embedded broker lets a group wait in proportion to its session's timeout; Kafka takes none below this.
        options = {"group": "my-system", "dead_letter": self._give_up, "session_timeout_ms": 6_000, **options}
        subscriber(self.broker, CustomerTagged, CustomerUntagged, **options)(self.handle)

    async def handle(self, event: PublicEvent) -> None:
        match event.payload:
            case CustomerTagged(tag=tag) | CustomerUntagged(tag=tag):
                self.got.append((event.sequence, tag))
                if self.fails(tag):
                    raise RuntimeError(f"cannot take {tag}")
            case other:
                raise AssertionError(other)

    async def _give_up(self, record: ConsumerRecord, error: Exception) -> None:
        self.given_up.append((record, error))


async def test_each_event_comes_once_typed_and_in_order_and_everything_else_is_skipped(
    relay: Publication, eventually: Callable[..., Awaitable[Any]]
) -> None:
    # given repetitions, watermarks, types not asked for, types not known, fields not known
    await relay.send(tagged("one"), 1)
    await relay.watermark("contacts", 1)
    await relay.send(tagged("lan", LAN), 2)
    await relay.send(tagged("unheard of"), 3, ce_type=b"crm.contacts.Unheard.v1")
    await relay.send(CustomerIdentified(customer_id=KHAI, source="s", identifiers=[], profile=Profile(), tags=[]), 4)
    await relay.send(CustomerUntagged(customer_id=KHAI, tag="two"), 5)
    await relay.send(tagged("one"), 1)
    sent = await relay.send(tagged("more"), 6, ce_time=b"2026-01-14T02:30:00Z")
    await relay.send_raw(TOPIC, sent.key, b'{"customer_id":"%s","tag":"seven","new":1}' % KHAI.encode(), [
        (name, b"%020d" % 7 if name == "ce_sequence" else value) for name, value in sent.headers
    ])  # fmt: skip
    application = Application(relay.servers)
    async with application.broker:
        await application.broker.start()
        await eventually(lambda: _true(len(application.got) >= 5))
        await relay.send(tagged("lan again", LAN), 8)
        await eventually(lambda: _true(len(application.got) >= 6))
    of_khai = [one for one in application.got if not one[1].startswith("lan")]
    assert of_khai == [(1, "one"), (5, "two"), (6, "more"), (7, "seven")]
    assert [one for one in application.got if one not in of_khai] == [(2, "lan"), (8, "lan again")]
    assert application.given_up == []


async def test_poison_is_tried_as_often_as_told_then_given_up_and_the_others_go_on(
    relay: Publication, eventually: Callable[..., Awaitable[Any]]
) -> None:
    # given a failing handler, and records that no reader can take, down to headers that are null or no text
    application = Application(relay.servers, attempts=2)
    application.fails = lambda tag: tag == "poison"
    await relay.send(tagged("poison"), 1)
    await relay.send(tagged("no time"), 2, ce_time=b"yesterday")
    await relay.send(tagged("no text"), 3, ce_actor=b"\xff\xfe")
    await relay.send(tagged("null"), 4, ce_actor=None)
    sent = await relay.send(tagged("after"), 5)
    await relay.send_raw(TOPIC, sent.key, b'{"tag":1}', sent.headers)
    await relay.send(tagged("last"), 6)
    async with application.broker:
        await application.broker.start()
        await eventually(lambda: _true((6, "last") in application.got))
    assert application.got == [(1, "poison"), (1, "poison"), (5, "after"), (6, "last")]
    kinds = [type(error).__name__ for _, error in application.given_up]
    assert kinds == ["RuntimeError", "EnvelopeError", "EnvelopeError", "EnvelopeError", "ValidationError"]
    assert isinstance(application.given_up[1][1], EnvelopeError)


async def test_after_a_restart_nothing_acknowledged_comes_again_and_nothing_is_missed(
    relay: Publication, eventually: Callable[..., Awaitable[Any]]
) -> None:
    await relay.send(tagged("one"), 1)
    first = Application(relay.servers)
    async with first.broker:
        await first.broker.start()
        await eventually(lambda: _true(first.got))
        await asyncio.sleep(0.5)  # for the acknowledgement after the handler
    await relay.send(tagged("two"), 2)
    second = Application(relay.servers)
    async with second.broker:
        await second.broker.start()
        await eventually(lambda: _true(second.got))
    assert (first.got, second.got) == ([(1, "one")], [(2, "two")])


async def test_while_it_cannot_be_given_up_nothing_is_passed_over_or_acknowledged(
    relay: Publication, eventually: Callable[..., Awaitable[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    # given a handler and a dead letter box that both fail
    letters: list[str] = []
    refused = 0

    async def refuse(record: ConsumerRecord, error: Exception) -> None:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise ConnectionError("the dead letter box is shut")
        letters.append(repr(error))

    application = Application(relay.servers, attempts=1, dead_letter=refuse)
    application.fails = lambda tag: tag == "poison"
    await relay.send(tagged("poison"), 1)
    await relay.send(tagged("after"), 2)
    with caplog.at_level(logging.ERROR):
        async with application.broker:
            await application.broker.start()
            await eventually(lambda: _true((2, "after") in application.got))
    assert application.got == [(1, "poison")] * 3 + [(2, "after")]
    assert letters == ["RuntimeError('cannot take poison')"]
    assert "the dead letter box is shut" in caplog.text


async def test_a_store_of_positions_of_ones_own_keeps_what_was_handled_apart_from_the_group(
    relay: Publication, eventually: Callable[..., Awaitable[Any]]
) -> None:
    # given a store that outlives the application, and a group that starts over
    await relay.send(tagged("one"), 1)
    positions = InMemory()
    for group in ("first-group", "second-group"):
        application = Application(relay.servers, group=group, positions=positions)
        async with application.broker:
            await application.broker.start()
            await relay.send(tagged(group), 2 if group == "first-group" else 3)
            await eventually(lambda seen=application.got, last=group: _true(seen and seen[-1][1] == last))
    assert application.got == [(3, "second-group")]
    assert await positions.last("contacts", KHAI) == 3


async def test_dead_letters_can_go_to_a_topic(relay: Publication, eventually: Callable[..., Awaitable[Any]]) -> None:
    broker = KafkaBroker(relay.servers, logger=None)
    given_up = dead_letter_topic(broker, "my-system.dlq")
    application = Application(relay.servers, attempts=1, dead_letter=given_up)
    application.fails = lambda tag: True
    sent = await relay.send(tagged("poison"), 1)
    await relay.send(tagged("null"), 2, ce_actor=None)
    async with broker, application.broker:
        await broker.start()
        await application.broker.start()
        async with AIOKafkaConsumer(
            "my-system.dlq", bootstrap_servers=relay.servers, auto_offset_reset="earliest"
        ) as consumer:
            letters = [await asyncio.wait_for(consumer.getone(), 30) for _ in range(2)]
    assert (letters[0].key, letters[0].value) == (sent.key, sent.value)
    headers = dict(letters[0].headers)
    assert headers["error"] == b"RuntimeError('cannot take poison')"
    assert {name: headers[name] for name, _ in sent.headers} == dict(sent.headers)
    assert b"EnvelopeError" in dict(letters[1].headers)["error"]


@pytest.mark.parametrize("models", [(), (CustomerState,), (CustomerTagged, CustomerState)])
def test_only_events_can_be_subscribed_to(models: tuple[Any, ...]) -> None:
    async def nowhere(record: ConsumerRecord, error: Exception) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="a state topic is read as"):
        subscriber(KafkaBroker("127.0.0.1:1"), *models, group="g", dead_letter=nowhere)


async def _true(held: object) -> bool:
    return bool(held)
