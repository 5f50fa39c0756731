"""Memberships on real stores: decided with every event, for everybody when a segment changes, and never twice."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent
from crm_shared.application import Command, Writer
from crm_shared.domain import PositionNotReached
from crm_shared.kafka import Kafka
from crm_shared.settings import Settings
from segmentation_service.application import Segmentation
from segmentation_service.conditions import parse
from segmentation_service.domain import Memberships
from segmentation_service.evaluation import SEGMENTS, Evaluated
from segmentation_service.queries import Segments

LAN, MINH = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
REPEAT = {"field": "purchases.count", "op": "gte", "value": 2}
BUYER = {"field": "purchases.count", "op": "gte", "value": 1}


def purchase(customer_id: str, position: int, *, amount: str = "10") -> PublicEvent:
    return PublicEvent(
        id=f"{customer_id}:{position}",
        service="interactions",
        name="PurchaseRecorded",
        major=1,
        key=customer_id,
        subject=customer_id,
        occurred_at=NEW_YEAR + timedelta(days=position),
        recorded_at=NEW_YEAR,
        sequence=position,
        stream_version=1,
        correlation_id=f"chain-{position}",
        causation_id="cause",
        actor="test",
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        data={"customer_id": customer_id, "total": {"amount": amount, "currency": "VND"}},
    )


@dataclasses.dataclass
class Place:
    """Segmentation without a broker: its stores, and what decides."""

    application: Segmentation
    writer: Writer
    evaluated: Evaluated
    segments: Segments
    open: Callable[[], Evaluated]

    async def define(self, key: str, condition: dict[str, Any]) -> None:
        def decide(unit: Any) -> Any:
            return self.application.define(unit, key, name=key.title(), description=None, condition=condition)

        await self.writer.run(Command(decide))

    async def retire(self, key: str) -> None:
        await self.writer.run(Command(lambda unit: self.application.retire(unit, key)))

    async def ready(self, key: str) -> dict[str, Any]:
        """The segment, once everybody has been evaluated for it."""
        async with asyncio.timeout(20):
            while (segment := await self.segments.one(key))["status"] != "ready":
                await asyncio.sleep(0.05)
        return segment

    def decisions(self, customer_id: str) -> list[tuple[str, str]]:
        """What the log holds about a customer: event and segment."""
        return [
            (type(event).__name__, event.segment_key)
            for event, _ in self.application.load({Memberships.create_id(customer_id): 0})
            if not isinstance(event, Memberships.Created)
        ]


@pytest_asyncio.fixture
async def place(
    settings_for: Callable[[str], Settings],
    open_application: Callable[[type[Segmentation]], Segmentation],
    open_writer: Callable[[Segmentation], Writer],
) -> AsyncIterator[Place]:
    settings = settings_for("segmentation")
    application = open_application(Segmentation)
    writer = open_writer(application)
    kafka = Kafka(settings)
    async with AsyncMongoClient[dict[str, Any]](settings.mongodb_uri, tz_aware=True) as client:
        database = client[settings.database_name("segmentation")]

        def open_one() -> Evaluated:
            evaluated = Evaluated(database, kafka, application, writer)
            evaluated.take_over(frozenset(range(kafka.partitions)))
            return evaluated

        evaluated = open_one()
        await evaluated.prepare(1)
        yield Place(application, writer, evaluated, Segments(database, kafka.partitions), open_one)


@pytest_asyncio.fixture
async def evaluating(place: Place) -> AsyncIterator[Place]:
    """The same, with the evaluation of everybody at work."""
    task = asyncio.create_task(place.evaluated.work())
    yield place
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def learnt(place: Place, keys: Iterable[str]) -> None:
    """Wait until the projector knows these definitions."""
    async with asyncio.timeout(10):
        while not set(keys) <= set(place.evaluated.definitions):
            await asyncio.sleep(0.02)


async def member(place: Place, key: str, customer_id: str) -> bool:
    page = await place.segments.members(key, 50, None)
    return customer_id in [one["customer_id"] for one in page["items"]]


async def test_an_event_decides_at_once_with_the_values_that_decided(evaluating: Place) -> None:
    await evaluating.define("repeat", REPEAT)
    await learnt(evaluating, ["repeat"])

    await evaluating.evaluated.apply([purchase(LAN, 1), purchase(MINH, 2), purchase(LAN, 3)])

    assert await member(evaluating, "repeat", LAN)
    assert not await member(evaluating, "repeat", MINH)
    stored = [event for event, _ in evaluating.application.load({Memberships.create_id(LAN): 0})]
    entered = stored[-1]
    assert entered.occurred_at == NEW_YEAR + timedelta(days=3)
    assert entered.context["causation_id"] == f"{LAN}:3"
    assert entered.context["correlation_id"] == "chain-3"
    assert entered.because == "facts_changed"
    assert [(one["field"], one["actual"], one["result"]) for one in entered.values] == [("purchases.count", 2, True)]


async def test_transitions_within_one_batch_are_all_recorded(evaluating: Place) -> None:
    await evaluating.define("exactly-one", {"field": "purchases.count", "op": "eq", "value": 1})
    await evaluating.define("repeat", REPEAT)
    await learnt(evaluating, ["exactly-one", "repeat"])

    await evaluating.evaluated.apply([purchase(LAN, 1), purchase(LAN, 2)])

    assert evaluating.decisions(LAN) == [
        ("Entered", "exactly-one"),
        ("Left", "exactly-one"),
        ("Entered", "repeat"),
    ]


async def test_the_same_events_again_decide_nothing_again(evaluating: Place) -> None:
    await evaluating.define("repeat", REPEAT)
    await learnt(evaluating, ["repeat"])
    events = [purchase(LAN, 1), purchase(LAN, 2)]
    await evaluating.evaluated.apply(events)

    evaluating.evaluated.take_over(evaluating.evaluated.partitions)
    await evaluating.evaluated.apply(events)

    assert evaluating.decisions(LAN) == [("Entered", "repeat")]


async def test_a_crash_between_the_decision_and_the_view_decides_once(
    evaluating: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await evaluating.define("repeat", REPEAT)
    await learnt(evaluating, ["repeat"])
    await evaluating.evaluated.apply([purchase(LAN, 1)])

    async def crash(_: Any) -> None:
        raise ConnectionError("the view's store went away")

    with monkeypatch.context() as broken:
        broken.setattr(evaluating.evaluated.documents, "write", crash)
        with pytest.raises(ConnectionError):
            await evaluating.evaluated.apply([purchase(LAN, 2)])
    assert not await member(evaluating, "repeat", LAN)
    evaluating.evaluated.take_over(evaluating.evaluated.partitions)
    await evaluating.evaluated.apply([purchase(LAN, 2)])

    assert await member(evaluating, "repeat", LAN)
    assert evaluating.decisions(LAN) == [("Entered", "repeat")]


async def test_a_lost_view_is_folded_again_without_deciding_again(evaluating: Place) -> None:
    await evaluating.define("exactly-one", {"field": "purchases.count", "op": "eq", "value": 1})
    await evaluating.define("repeat", REPEAT)
    await learnt(evaluating, ["exactly-one", "repeat"])
    history = [purchase(LAN, 1), purchase(MINH, 2), purchase(LAN, 3)]
    await evaluating.evaluated.apply(history)
    before = evaluating.decisions(LAN), evaluating.decisions(MINH)

    await evaluating.evaluated.documents.collection.delete_many({})
    rebuilt = evaluating.open()
    await rebuilt.prepare(1)
    for event in history:
        await rebuilt.apply([event])
    await rebuilt.apply([purchase(MINH, 4)])

    assert (evaluating.decisions(LAN), evaluating.decisions(MINH)[:1]) == before
    assert evaluating.decisions(MINH) == [("Entered", "exactly-one"), ("Left", "exactly-one"), ("Entered", "repeat")]
    assert await member(evaluating, "repeat", LAN)


async def test_defining_a_segment_evaluates_everybody_with_progress(evaluating: Place) -> None:
    customers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(500)]
    await evaluating.evaluated.apply([purchase(one, number + 1) for number, one in enumerate(customers)])

    await evaluating.define("buyers", BUYER)
    await learnt(evaluating, ["buyers"])
    segment = await evaluating.ready("buyers")

    assert segment["members"] == 500
    assert segment["evaluated"] == {"done": 500, "total": 500}
    stored = [event for event, _ in evaluating.application.load({Memberships.create_id(customers[0]): 0})]
    assert stored[-1].because == "segment_defined"


async def test_a_new_definition_moves_only_whom_it_concerns(evaluating: Place) -> None:
    await evaluating.define("buyers", BUYER)
    await learnt(evaluating, ["buyers"])
    await evaluating.evaluated.apply([purchase(LAN, 1), purchase(LAN, 2), purchase(MINH, 3)])

    await evaluating.define("buyers", REPEAT)
    async with asyncio.timeout(10):
        while evaluating.evaluated.definitions["buyers"].version != 2:
            await asyncio.sleep(0.02)
    segment = await evaluating.ready("buyers")

    assert (segment["version"], segment["members"]) == (2, 1)
    assert evaluating.decisions(LAN) == [("Entered", "buyers")]
    assert evaluating.decisions(MINH) == [("Entered", "buyers"), ("Left", "buyers")]


async def test_retiring_a_segment_makes_its_members_leave_and_defining_it_again_brings_them_back(
    evaluating: Place,
) -> None:
    await evaluating.define("buyers", BUYER)
    await learnt(evaluating, ["buyers"])
    await evaluating.evaluated.apply([purchase(LAN, 1)])

    await evaluating.retire("buyers")
    async with asyncio.timeout(10):
        while evaluating.decisions(LAN) != [("Entered", "buyers"), ("Left", "buyers")]:
            await asyncio.sleep(0.05)
    await evaluating.define("buyers", BUYER)
    await learnt(evaluating, ["buyers"])
    async with asyncio.timeout(10):
        while not await member(evaluating, "buyers", LAN):
            await asyncio.sleep(0.05)

    assert evaluating.decisions(LAN) == [("Entered", "buyers"), ("Left", "buyers"), ("Entered", "buyers")]


async def test_a_query_waits_for_the_definition_that_was_just_stored(evaluating: Place) -> None:
    await evaluating.define("buyers", BUYER)
    position = evaluating.application.last_position()

    await evaluating.segments.wait_for_definitions(position)

    assert (await evaluating.segments.one("buyers"))["version"] == 1
    with pytest.raises(PositionNotReached):
        await evaluating.segments.wait_for_definitions(position + 1, seconds=0.1)


async def test_an_evaluation_that_was_interrupted_is_taken_up_again(place: Place) -> None:
    await place.evaluated.apply([purchase(LAN, 1)])
    await place.define("buyers", BUYER)
    await place.evaluated.prepare(1)
    assert (await place.segments.one("buyers"))["status"] == "evaluating"

    later = place.open()
    await later.prepare(1)
    task = asyncio.create_task(later.work())
    try:
        segment = await place.ready("buyers")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert segment["members"] == 1


async def test_an_event_that_cannot_be_folded_fails_its_customer_only(evaluating: Place) -> None:
    await evaluating.define("buyers", BUYER)
    await learnt(evaluating, ["buyers"])
    poison = dataclasses.replace(purchase(LAN, 1), data={"customer_id": LAN})

    failures = await evaluating.evaluated.apply([poison, purchase(LAN, 2), purchase(MINH, 3)])

    assert {key: failure.event for key, failure in failures.items()} == {LAN: poison}
    assert await member(evaluating, "buyers", MINH)
    assert evaluating.decisions(LAN) == []


async def test_why_shows_each_leaf_with_its_actual_value(evaluating: Place) -> None:
    condition = {"all": [REPEAT, {"field": "purchases.revenue.VND", "op": "gt", "value": "100"}]}
    await evaluating.define("good", condition)
    await learnt(evaluating, ["good"])
    await evaluating.evaluated.apply([purchase(LAN, 1, amount="70.5"), purchase(LAN, 2, amount="20.5")])

    why = await evaluating.segments.why("good", UUID(LAN))

    assert why["member"] is False
    assert why["since"] is None
    assert why["why"]["result"] is False
    assert [(leaf["actual"], leaf["result"]) for leaf in why["why"]["all"]] == [(2, True), ("91.0", False)]


async def test_a_preview_counts_and_stores_nothing(evaluating: Place) -> None:
    await evaluating.evaluated.apply([purchase(LAN, 1), purchase(LAN, 2), purchase(MINH, 3)])

    found = await evaluating.segments.preview(parse(REPEAT))

    assert found == {"count": 1, "total": 2, "sample": [LAN]}
    assert evaluating.decisions(LAN) == []
    assert await evaluating.evaluated.documents.collection.database[SEGMENTS].count_documents({}) == 0
