"""A view of an older layout is folded again by itself, by one process, and decides nothing again by it."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent, Record
from crm_contracts.events.interactions import PurchaseRecorded
from crm_contracts.types import Money
from crm_shared.kafka import Kafka, Topic
from crm_shared.mongo import Document
from crm_shared.mongo.leases import Lease
from crm_shared.process import Definition
from crm_shared.projections.generations import COLLECTION as GENERATIONS
from crm_shared.settings import Settings
from crm_shared.testing import recorded
from relata_local.servers import EmbeddedServers
from segmentation_service.domain import Memberships
from segmentation_service.main import DEFINITION as SEGMENTATION
from segmentation_service.projections import FACTS
from segmentation_service.projections.evaluations import COLLECTION as EVALUATIONS

CUSTOMERS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(20)]
BUYERS = {"name": "Buyers", "condition": {"field": "purchases.count", "op": "gte", "value": 2}}


def purchase(customer_id: str, position: int) -> Record:
    bought = PurchaseRecorded(
        purchase_id=str(position),
        customer_id=customer_id,
        system="shop",
        order_id=str(position),
        total=Money(amount="10", currency="VND"),
        lines=[],
    )
    return recorded(bought, position=position)


def in_layout(layout: int) -> Definition:
    """Segmentation, whose facts also say by which layout they were folded."""

    def fold(document: Document | None, event: PublicEvent) -> Document:
        return {**FACTS.fold(document, event), "layout": layout}

    projections = [
        dataclasses.replace(one, fold=fold, layout=layout) if one is FACTS else one for one in SEGMENTATION.projections
    ]
    return dataclasses.replace(SEGMENTATION, projections=projections)


@pytest.fixture
def send(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> Callable[..., Awaitable[None]]:
    """Sends records as a relay would, creating the topics first."""

    async def send_all(*records: Record) -> None:
        kafka = Kafka(settings_for("interactions"))
        admin, producer = kafka.admin(), kafka.producer()
        await admin.start()
        await producer.start()
        try:
            await kafka.ensure_topics(admin, [Topic(one) for one in FACTS.topics])
            for one in records:
                partition = kafka.partition_of(one.key)
                await producer.send_and_wait(one.topic, one.value, one.key, partition, headers=list(one.headers))
        finally:
            await producer.stop()
            await admin.close()

    return send_all


async def test_a_changed_layout_rolls_out_by_itself_and_nobody_enters_or_leaves_by_it(
    send: Callable[..., Awaitable[None]],
    launch: Callable[..., Awaitable[Any]],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    # given members by facts of an earlier layout
    before = await launch(in_layout(2))
    await before.client.put("/v1/segments/buyers", json=BUYERS)
    twice = [purchase(one, position) for position, one in enumerate((*CUSTOMERS, *CUSTOMERS[:7]), 1)]
    await send(*twice)

    async def members() -> int:
        answer = (await before.client.get("/v1/segments/buyers")).json()
        return int(answer.get("members", 0)) if answer.get("status") == "ready" else 0

    async def seven() -> bool:
        return await members() == 7

    await eventually(seven)
    await before.stop()
    store = before.runtime.application
    decided = store.recorder.max_notification_id()

    # when two processes with a later layout start
    after = [await launch(in_layout(3)) for _ in range(2)]
    database = after[0].runtime.database

    async def evaluated_again() -> bool:
        noted = await database[EVALUATIONS].find({}).to_list()
        versions = [one["evaluated"].get("buyers", {}).get("generation") for one in noted]
        return len(versions) == after[0].runtime.kafka.partitions and set(versions) == {2}

    await eventually(evaluated_again, seconds=60)

    # then the view is folded again, once, and nobody entered or left
    live = await database[GENERATIONS].find_one({"_id": FACTS.name})
    assert live == {"_id": FACTS.name, "live": 2, "layout": 3}
    documents = await database["customers@2"].find({}).to_list()
    assert {(one["_id"], one["layout"]) for one in documents} == {(one, 3) for one in CUSTOMERS}
    assert store.recorder.max_notification_id() == decided

    # and it goes on from there
    await send(purchase(CUSTOMERS[10], 28))
    shown = await after[0].client.get("/v1/segments/buyers", params={"after": "interactions:28"})
    assert shown.status_code == 503, "nobody said that everything up to there has been sent"

    async def eight() -> bool:
        return len(store.load({Memberships.create_id(CUSTOMERS[10]): 0})) == 2

    await eventually(eight)


async def test_a_process_older_than_the_view_says_so_and_writes_nothing(
    send: Callable[..., Awaitable[None]],
    launch: Callable[..., Awaitable[Any]],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    await send(purchase(CUSTOMERS[0], 1))
    newer = await launch(in_layout(3), roles=("project",))

    async def folded() -> bool:
        return bool(await newer.runtime.database[FACTS.collection].count_documents({}) == 1)

    await eventually(folded)
    await newer.stop()

    older = await launch(in_layout(2), roles=("api", "project"))
    await send(purchase(CUSTOMERS[1], 2))

    async def refused() -> str:
        checks = (await older.client.get("/readyz")).json()["checks"]
        return "".join(one.get("error", "") for one in checks if one["check"] == f"projection {FACTS.name}")

    async def outdated() -> bool:
        return "has layout 3, and this process knows layout 2" in await refused()

    await eventually(outdated)
    assert await older.runtime.database[FACTS.collection].count_documents({}) == 1


async def test_one_process_at_a_time_holds_a_lease_and_a_dead_one_s_is_taken_up(
    settings_for: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for("segmentation")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        database = client[settings.database_name("segmentation")]
        mine, other = Lease(database, "work"), Lease(database, "work")

        assert await mine.take()
        assert not await other.take()
        async with mine:
            await mine.require()
        assert await other.take()

        monkeypatch.setattr("crm_shared.mongo.leases.LEASE_SECONDS", 0.05)
        dead, heir = Lease(database, "other work"), Lease(database, "other work")
        assert await dead.take()
        await asyncio.sleep(0.2)
        assert await heir.take()
        with pytest.raises(Exception, match="was lost meanwhile"):
            await dead.require()
