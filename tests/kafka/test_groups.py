"""Consumer groups on Apache Kafka: one member per customer; partitions that change hands lose and double nothing."""

import asyncio
import dataclasses
import functools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent, Record, encode
from crm_contracts.events.contacts import CustomerTagged
from crm_contracts.events.interactions import InteractionLogged
from crm_contracts.registry import events_topic
from crm_shared.kafka import Kafka, Topic
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Failure, Projection
from crm_shared.projections.consumer import Consumer
from crm_shared.projections.progress_keeper import Note
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

CUSTOMERS = [str(uuid5(UUID(int=0), str(number))) for number in range(60)]
SERVICES = ("contacts", "interactions")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Fact:
    """What a stored event would say of itself."""

    originator_id: UUID
    originator_version: int
    timestamp: datetime = NOON
    occurred_at: datetime = NOON
    context: dict[str, str] = dataclasses.field(
        default_factory=lambda: {"correlation_id": "c", "causation_id": "c", "actor": "test", "traceparent": ""}
    )


class Noting(DocumentProjection):
    """Keeps each customer's events in the order in which they were applied, and notes which member applied them."""

    def __init__(self, database: Any, name: str) -> None:
        super().__init__(
            database,
            Projection(name=name, events=[CustomerTagged, InteractionLogged], collection="noted", fold=noted),
        )
        self.partitions: frozenset[int] = frozenset()
        self.keys: set[str] = set()
        self.hindered = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    def take_over(self, partitions: frozenset[int]) -> None:
        super().take_over(partitions)
        self.partitions = partitions

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        if not self.free.is_set():
            self.hindered.set()
            await self.free.wait()
        self.keys |= {event.key for event in events}
        return await super().apply(events, note)


def noted(document: Document | None, event: PublicEvent) -> Document:
    before = document or {"contacts": [], "interactions": []}
    return {**before, event.service: [*before[event.service], event.sequence]}


@dataclasses.dataclass
class Group:
    """A consumer group whose members run in this process, and what was sent to it."""

    settings: Settings
    database: Any
    name: str
    sent: dict[str, dict[str, list[int]]] = dataclasses.field(
        default_factory=lambda: defaultdict(lambda: {service: [] for service in SERVICES})
    )
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: count(1))
    running: dict[Noting, "asyncio.Task[None]"] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def kafka(self) -> Kafka:
        return Kafka(self.settings)

    def join(self, instance: str | None = None) -> Noting:
        member = Noting(self.database, self.name)
        kafka = Kafka(self.settings.model_copy(update={"kafka_group_instance_id": instance}))
        self.running[member] = asyncio.create_task(Consumer(member, self.database, kafka).run())
        return member

    async def leave(self, member: Noting) -> None:
        task = self.running.pop(member)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def send(self, producer: Any, customers: Sequence[str]) -> None:
        """One event of each service for each customer."""
        records = [self._record(service, customer) for customer in customers for service in SERVICES]
        for record in records:
            await producer.send(
                record.topic,
                record.value,
                key=record.key,
                headers=list(record.headers),
                partition=self.kafka.partition_of(record.key),
            )
        await producer.flush()

    def _record(self, service: str, customer: str) -> Record:
        position = next(self.numbers)
        self.sent[customer][service].append(position)
        data = (
            CustomerTagged(customer_id=customer, tag=f"t{position}")
            if service == "contacts"
            else InteractionLogged(
                interaction_id=str(UUID(int=position)), customer_id=customer, channel="chat", direction="inbound"
            )
        )
        return encode(Fact(UUID(int=position), 1), position, customer, data)

    async def noted(self) -> dict[str, dict[str, list[int]]]:
        return {
            one["_id"]: {service: one[service] for service in SERVICES} async for one in self.database["noted"].find()
        }


@pytest_asyncio.fixture
async def group(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[Group]:
    settings = settings_for("noting")
    client: AsyncMongoClient[Document] = AsyncMongoClient(settings.mongodb_uri, tz_aware=True)
    one = Group(settings, client[settings.mongodb_database], "test.noting")
    admin = one.kafka.admin()
    await admin.start()
    await one.kafka.ensure_topics(admin, [Topic(events_topic(service)) for service in SERVICES])
    await admin.close()
    yield one
    for member in list(one.running):
        await one.leave(member)
    await client.close()


@pytest_asyncio.fixture
async def producer(group: Group) -> AsyncIterator[Any]:
    producer = group.kafka.producer()
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def shared_out(eventually: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """Waits until members have all partitions between them."""

    async def wait(*members: Noting) -> None:
        async def between_them() -> bool:
            return sorted(number for member in members for number in member.partitions) == [0, 1, 2, 3] and all(
                member.partitions for member in members
            )

        await eventually(between_them)

    return wait


async def test_all_topics_events_of_one_customer_come_to_one_member(
    group: Group, producer: Any, shared_out: Any, eventually: Any
) -> None:
    first, second = group.join(), group.join()
    await shared_out(first, second)

    for _ in range(5):
        await group.send(producer, CUSTOMERS)

    async def everything() -> bool:
        return await group.noted() == group.sent

    await eventually(everything)
    assert first.keys | second.keys == set(CUSTOMERS)
    assert first.keys & second.keys == set()
    assert {group.kafka.partition_of(key.encode()) for key in first.keys} == first.partitions


@pytest.mark.timeout(240)
async def test_members_that_join_and_leave_under_load_lose_and_double_nothing(
    group: Group, producer: Any, shared_out: Any, eventually: Any
) -> None:
    first = group.join()
    await shared_out(first)
    loading = True

    async def load() -> None:
        while loading:
            await group.send(producer, CUSTOMERS)
            await asyncio.sleep(0.02)

    work = asyncio.create_task(load())
    await asyncio.sleep(2)
    second = group.join()
    await shared_out(first, second)
    third = group.join()
    await shared_out(first, second, third)
    await asyncio.sleep(1)
    await group.leave(first)
    await shared_out(second, third)
    await group.leave(third)
    await shared_out(second)
    await asyncio.sleep(1)
    loading = False
    await work

    async def everything() -> bool:
        return await group.noted() == group.sent

    await eventually(everything, seconds=60)
    assert len(group.sent[CUSTOMERS[0]]["contacts"]) > 20


@pytest.mark.timeout(240)
async def test_a_rolling_restart_of_members_with_ids_moves_no_partition_and_loses_and_doubles_nothing(
    group: Group, producer: Any, shared_out: Any, eventually: Any
) -> None:
    # given two members with ids of their own, under load
    members = {instance: group.join(instance) for instance in ("noting-0", "noting-1")}
    await shared_out(*members.values())
    loading = True

    async def load() -> None:
        while loading:
            await group.send(producer, CUSTOMERS)
            await asyncio.sleep(0.02)

    work = asyncio.create_task(load())
    await asyncio.sleep(2)

    # when one after the other is started again
    for instance, before in list(members.items()):
        owned, (other,) = before.partitions, set(members.values()) - {before}
        kept = other.partitions
        await group.leave(before)
        members[instance] = group.join(instance)
        await shared_out(*members.values())

        # then it has the partitions that it had, and the other has kept its own
        assert (members[instance].partitions, other.partitions) == (owned, kept)
        await asyncio.sleep(1)
    loading = False
    await work

    async def everything() -> bool:
        return await group.noted() == group.sent

    await eventually(everything, seconds=60)
    assert len(group.sent[CUSTOMERS[0]]["contacts"]) > 20


@pytest.mark.timeout(240)
async def test_a_member_that_hangs_is_left_behind_and_changes_nothing_when_it_wakes(
    group: Group, producer: Any, shared_out: Any, eventually: Any
) -> None:
    # given a member in the middle of a batch that does not end
    slow = group.join()
    await shared_out(slow)
    slow.free.clear()
    await group.send(producer, CUSTOMERS)
    await slow.hindered.wait()

    # when another joins
    started = time.monotonic()
    other = group.join()
    await shared_out(other)
    waited = time.monotonic() - started
    await group.send(producer, CUSTOMERS)

    async def everything() -> bool:
        return await group.noted() == group.sent

    await eventually(everything)

    # then it has waited no longer than the group does for a member, and the first one's late writes change nothing
    assert waited < 15
    slow.free.set()
    await shared_out(slow, other)
    await group.send(producer, CUSTOMERS)
    await eventually(everything)
