"""Projectors that go away and come back: at once with a KAFKA_GROUP_INSTANCE_ID, of which there are never two alike."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contacts_service.main import DEFINITION as CONTACTS
from crm_shared.kafka import Kafka, Topic
from crm_shared.settings import Settings
from relata_local.ports import free_port
from relata_local.servers import EmbeddedServers
from relata_local.services import ServiceProcess

# Far more than a start takes, far less than the session of the projector that was killed.
BACK_WITHIN_SECONDS = 15.0
LONG_SESSION_MS = 45_000
SHORT_SESSION_MS = 6_000


Project = Callable[..., ServiceProcess]


@pytest.fixture
def project(servers: EmbeddedServers, settings_for: Callable[[str], Settings], tmp_path: Path) -> Iterator[Project]:
    """`project(instance)`: a projector of contacts as a process of its own, with an id or without one."""
    settings = settings_for(CONTACTS.service)
    environment = servers.environment() | {
        "POSTGRES_SCHEMA": settings.postgres_schema,
        "MONGODB_DATABASE": settings.mongodb_database,
        "KAFKA_SESSION_TIMEOUT_MS": str(LONG_SESSION_MS),
    }
    with contextlib.ExitStack() as stack:

        def make(instance: str | None = None) -> ServiceProcess:
            own = {"KAFKA_GROUP_INSTANCE_ID": instance} if instance else {}
            process = ServiceProcess(CONTACTS.service, free_port(), tmp_path, lambda: environment | own)
            process.role = "project"
            stack.callback(process.kill)
            return process

        yield make


@pytest.mark.timeout(240)
async def test_a_projector_that_was_killed_goes_on_before_its_session_has_ended(
    broker: EmbeddedServers, launch: Any, identify: Any, eventually: Any, project: Project
) -> None:
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    projector = project("contacts-0")
    await asyncio.to_thread(projector.start)
    await visible(contacts, await identify(contacts, "lan@example.com"), eventually)

    for number in range(2):
        await asyncio.to_thread(projector.kill)
        missed = await identify(contacts, f"customer{number}@example.com")
        projector.launch()

        await visible(contacts, missed, eventually)
    # Nor is it only the first batch that comes.
    await visible(contacts, await identify(contacts, "minh@example.com"), eventually)


@pytest.mark.timeout(240)
async def test_a_projector_without_an_id_that_is_told_to_stop_leaves_its_partitions_to_the_next_one(
    broker: EmbeddedServers, launch: Any, identify: Any, eventually: Any, project: Project
) -> None:
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    projector = project()
    await asyncio.to_thread(projector.start)
    await visible(contacts, await identify(contacts, "lan@example.com"), eventually)

    await asyncio.to_thread(projector.stop)
    left = await members_of(contacts.runtime.kafka, "contacts-service.customers")
    missed = await identify(contacts, "minh@example.com")
    projector.launch()

    assert left == []
    await visible(contacts, missed, eventually)


async def members_of(kafka: Kafka, group: str) -> list[Any]:
    admin = kafka.admin()
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        return [member for _, _, _, _, _, members, *_ in answer.groups for member in members]
    finally:
        await admin.close()


async def visible(contacts: Any, identified: Any, eventually: Callable[..., Awaitable[Any]]) -> None:
    async def found() -> bool:
        return bool((await contacts.client.get(f"/v1/customers/{identified['customer_id']}")).status_code == 200)

    await eventually(found, seconds=BACK_WITHIN_SECONDS)


@pytest.mark.timeout(240)
async def test_a_projector_whose_id_another_has_taken_says_so_and_takes_over_when_that_one_has_gone(
    broker: EmbeddedServers,
    launch: Any,
    identify: Any,
    caught_up: Any,
    eventually: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # given a projector, and by mistake another one with the same id
    contacts = await launch(CONTACTS, roles=("api", "relay"))
    same: dict[str, Any] = {"kafka_group_instance_id": "contacts-0", "kafka_session_timeout_ms": SHORT_SESSION_MS}
    first = await launch(CONTACTS, roles=("project",), **same)
    await eventually(lambda: ready(first))
    second = await launch(CONTACTS, roles=("project",), **same)

    # then the first one stands by and says why, and the second one is left in peace
    async def told() -> bool:
        return "needs its own" in str((await first.client.get("/readyz")).json())

    await eventually(told)
    await caught_up(contacts, (await identify(contacts, "lan@example.com"))["position"], of="contacts")
    await eventually(lambda: ready(second))
    for _ in range(40):
        await asyncio.sleep(0.1)
        assert await ready(second)
        assert await told()
    assert [line.message for line in caplog.records if "stands by" in line.message] == [
        "contacts-service.customers stands by until it has gone: another process, at 127.0.0.1, is a member of "
        "contacts-service.customers with this one's KAFKA_GROUP_INSTANCE_ID; each process needs its own"
    ]

    # and when that one has gone for longer than its session, the first one takes over
    await second.stop()
    last = await identify(contacts, "minh@example.com")
    await eventually(lambda: ready(first))
    await caught_up(first, last["position"], of="contacts")


async def ready(service: Any) -> bool:
    return bool((await service.client.get("/readyz")).status_code == 200)


async def test_a_member_that_reads_one_more_topic_than_before_gets_its_partitions(
    broker: EmbeddedServers, settings_for: Callable[[str], Settings], eventually: Any
) -> None:
    # given a member with an id that has been stopped
    kafka = Kafka(settings_for("noting").model_copy(update={"kafka_group_instance_id": "noting-0"}))
    admin = kafka.admin()
    await admin.start()
    await kafka.ensure_topics(admin, [Topic("first"), Topic("second")])
    await admin.close()
    everything = [("first", number) for number in range(4)]
    await read(kafka, ["first"], everything, eventually)

    # when its next version reads a second topic, then it is given both
    await read(kafka, ["first", "second"], [*everything, *(("second", number) for number in range(4))], eventually)


async def read(kafka: Kafka, topics: list[str], expected: list[tuple[str, int]], eventually: Any) -> None:
    member = kafka.consumer(group="noting", reads=topics)
    await member.start()
    try:
        member.subscribe(topics=topics)

        async def assigned() -> bool:
            await member.getmany(timeout_ms=100)
            return sorted(member.assignment()) == expected

        await eventually(assigned)
    finally:
        await member.stop()
