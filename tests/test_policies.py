"""Policies: what others' events make a service do, each event once, whatever is redelivered and whoever is killed."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_contracts.envelope import PublicEvent, Record
from crm_contracts.events.contacts import CustomerIdentified, CustomerTagged, Profile
from crm_contracts.events.interactions import InteractionLogged
from crm_shared.application import Command, Unit, Writer
from crm_shared.domain import Conflict
from crm_shared.kafka import Kafka, Topic
from crm_shared.policies import ChainTooLong, Policy, PolicyConsumer
from crm_shared.postgres import EventSourcedApplication
from crm_shared.process import run
from crm_shared.settings import Settings
from crm_shared.testing import public_event, recorded
from interactions_service.application import LogInteraction
from interactions_service.domain import Interaction, InteractionFacts
from interactions_service.main import DEFINITION as INTERACTIONS
from relata_local.servers import EmbeddedServers

LAN, MINH = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NAME = "interactions-service.welcome"


def welcome(event: PublicEvent) -> list[Command[Any]]:
    """Two letters for everybody who becomes known. Logged without an id of their own, each would be logged again."""
    return [
        LogInteraction(
            InteractionFacts(
                customer_id=event.key,
                channel="mail",
                direction="outbound",
                occurred_at=event.occurred_at,
                subject=subject,
            )
        )
        for subject in ("Welcome", "Our catalogue")
    ]


WELCOME = Policy(NAME, [CustomerIdentified], welcome)
WELCOMING = dataclasses.replace(INTERACTIONS, policies=[WELCOME])


def known(customer_id: str) -> CustomerIdentified:
    return CustomerIdentified(customer_id=customer_id, source="shop", identifiers=[], profile=Profile(), tags=[])


def identified(customer_id: str, position: int) -> PublicEvent:
    return public_event(known(customer_id), position=position, at=datetime(2026, 1, position, tzinfo=UTC))


def logged(store: EventSourcedApplication) -> list[Any]:
    """The interactions in the log, in its order."""
    notes = store.recorder.select_notifications(1, 1_000, topics=[Interaction.Created.TOPIC])
    return [store.domain_event(note) for note in notes]


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("interactions")


@pytest.fixture
def writer(store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]) -> Writer:
    return open_writer(store)


async def test_a_command_carries_its_event_as_the_cause_in_the_event_s_chain(
    store: EventSourcedApplication, writer: Writer
) -> None:
    event = identified(LAN, 3)

    await PolicyConsumer("interactions", WELCOME, writer).apply([event])

    letters = logged(store)
    assert [one.subject for one in letters] == ["Welcome", "Our catalogue"]
    for one in letters:
        assert one.occurred_at == event.occurred_at
        assert one.context["causation_id"] == event.id
        assert one.context["correlation_id"] == event.correlation_id
        assert one.context["actor"] == "interactions"


async def test_an_event_that_comes_again_has_no_effect_again_for_another_process_either(
    store: EventSourcedApplication, writer: Writer, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    events = [identified(LAN, 1), identified(MINH, 2)]
    await PolicyConsumer("interactions", WELCOME, writer).apply(events)

    await PolicyConsumer("interactions", WELCOME, writer).apply(events[1:])
    await PolicyConsumer("interactions", WELCOME, open_writer(store)).apply(events)

    assert [one.customer_id for one in logged(store)] == [LAN, LAN, MINH, MINH]


@dataclasses.dataclass(frozen=True, slots=True)
class Refuse(Command[None]):
    """A command that a rule refuses."""

    def decide(self, unit: Unit) -> None:
        raise Conflict("not now")


async def test_what_cannot_be_decided_or_is_refused_is_its_customer_s_failure_only(
    store: EventSourcedApplication, writer: Writer
) -> None:
    def decide(event: PublicEvent) -> list[Command[Any]]:
        match event.payload:
            case CustomerTagged(tag="refused"):
                return [Refuse()]
            case CustomerTagged():
                raise ValueError("poison")
            case _:
                return welcome(event)

    policy = Policy(NAME, [CustomerIdentified, CustomerTagged], decide)
    refused = public_event(CustomerTagged(customer_id=LAN, tag="refused"), position=1)
    poison = public_event(CustomerTagged(customer_id=LAN[:-1] + "9", tag="poison"), position=2)

    failures = await PolicyConsumer("interactions", policy, writer).apply([refused, poison, identified(MINH, 3)])

    assert {key: type(failure.error) for key, failure in failures.items()} == {
        refused.key: Conflict,
        poison.key: ValueError,
    }
    assert [one.customer_id for one in logged(store)] == [MINH, MINH]


def test_a_policy_may_not_react_to_events_of_its_own_service() -> None:
    with pytest.raises(ValueError, match="InteractionLogged, which it may cause itself"):
        dataclasses.replace(INTERACTIONS, policies=[Policy(NAME, [CustomerIdentified, InteractionLogged], welcome)])


async def test_policies_that_answer_each_other_without_end_are_stopped_and_the_customer_is_parked(
    store: EventSourcedApplication, writer: Writer
) -> None:
    consumer = PolicyConsumer("interactions", WELCOME, writer)
    event = identified(LAN, 1)

    # contacts' policy would identify the customer again for each letter
    for answered in range(1, 10):
        failures = await consumer.apply([event])
        if failures:
            break
        number = int(logged(store)[-1].context["actor"].partition("#")[2] or 1) + 1
        event = dataclasses.replace(identified(LAN, answered + 1), actor=f"contacts#{number}")

    assert [one.context["actor"] for one in logged(store)[::2]] == [
        "interactions",
        "interactions#3",
        "interactions#5",
        "interactions#7",
    ]
    assert isinstance(failures[LAN].error, ChainTooLong)


async def test_nobody_outside_can_name_themselves_a_policy(launch: Callable[..., Awaitable[Any]]) -> None:
    interactions = await launch(INTERACTIONS, roles=("api",))

    refused = await interactions.client.post("/v1/purchases", json={}, headers={"X-Actor-Id": "contacts#8"})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "malformed_header"


@contextlib.asynccontextmanager
async def process(settings: Settings, servers: EmbeddedServers, **environment: str) -> AsyncIterator[Any]:
    """This service as a process of its own, killed at the end if it still runs."""
    own = {"POSTGRES_SCHEMA": settings.postgres_schema, "MONGODB_DATABASE": settings.mongodb_database}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        env={**os.environ, **servers.environment(), **own, "HTTP_PORT": "0", "LOG_LEVEL": "WARNING", **environment},
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def send(settings: Settings, *records: Record) -> None:
    """Send records as a relay would, creating the topic first."""
    kafka = Kafka(settings)
    admin, producer = kafka.admin(), kafka.producer()
    await admin.start()
    await producer.start()
    try:
        await kafka.ensure_topics(admin, [Topic(one) for one in WELCOME.topics])
        for one in records:
            partition = kafka.partition_of(one.key)
            await producer.send_and_wait(one.topic, one.value, one.key, partition, headers=list(one.headers))
    finally:
        await producer.stop()
        await admin.close()


async def test_a_process_killed_between_the_command_and_noting_it_has_the_effect_once(
    broker: EmbeddedServers,
    settings_for: Callable[[str], Settings],
    store: EventSourcedApplication,
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    # given a process that dies as soon as it has stored what an event made it do
    settings = settings_for("interactions")
    await send(settings, recorded(known(LAN), position=1))
    async with process(settings, broker, RELATA_CRASH_AT="after_decisions") as doomed:
        async with asyncio.timeout(60):
            assert await doomed.wait() == -signal.SIGKILL
    assert [one.customer_id for one in logged(store)] == [LAN, LAN]

    # when another one reads the same event, and one more
    await send(settings, recorded(known(MINH), position=2))
    async with process(settings, broker):

        async def welcomed() -> bool:
            return MINH in [one.customer_id for one in logged(store)]

        await eventually(welcomed, seconds=60)

    # then each had its effect once
    assert [one.customer_id for one in logged(store)] == [LAN, LAN, MINH, MINH]


if __name__ == "__main__":
    run(WELCOMING, ["project"])
