"""Memberships on real stores: decided with every event, for everybody when a segment changes, and never twice."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent, decode, encode
from crm_contracts.events.contacts import CustomerTagged
from crm_contracts.events.interactions import PurchaseRecorded
from crm_contracts.types import Money
from crm_shared.application import Submission, Writer
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from crm_shared.policies import DecidedProjection, Resources
from crm_shared.postgres import EventSourcedApplication
from crm_shared.projections import DocumentProjection
from crm_shared.queries import View
from crm_shared.settings import Settings
from crm_shared.testing import public_event
from segmentation_service import publishing, queries
from segmentation_service.application import DefineSegment, RetireSegment
from segmentation_service.conditions import parse, to_json
from segmentation_service.domain import Memberships, SegmentFacts
from segmentation_service.policies import MEMBERSHIPS
from segmentation_service.policies.memberships import MembershipDecisions
from segmentation_service.projections import DEFINITIONS, FACTS, MEMBERS
from segmentation_service.projections.evaluations import COLLECTION as EVALUATIONS

LAN, MINH = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
REPEAT = {"field": "purchases.count", "op": "gte", "value": 2}
BUYER = {"field": "purchases.count", "op": "gte", "value": 1}
ONCE = {"field": "purchases.count", "op": "eq", "value": 1}


def purchase(customer_id: str, position: int, *, amount: str = "10") -> PublicEvent:
    bought = PurchaseRecorded(
        purchase_id="p",
        customer_id=customer_id,
        system="shop",
        order_id=str(position),
        total=Money(amount=amount, currency="VND"),
        lines=[],
        channel=None,
    )
    return public_event(bought, position=position, at=NEW_YEAR + timedelta(days=position))


def tagged(customer_id: str, position: int, tag: str) -> PublicEvent:
    return public_event(CustomerTagged(customer_id=customer_id, tag=tag), position=position)


@dataclasses.dataclass
class Place:
    """Segmentation without a broker: its stores, what decides, and its views of what it said itself."""

    event_store: EventSourcedApplication
    writer: Writer
    facts: DecidedProjection
    open: Callable[[], DecidedProjection]
    own_views: list[DocumentProjection]
    published: int = 0

    async def define(self, key: str, condition: dict[str, Any]) -> None:
        """Define a segment, and see to it that the projector knows of it."""
        facts = SegmentFacts(key, key.title(), None, to_json(parse(condition)))
        await self.writer.run(Submission(DefineSegment(facts)))
        await self.learn()

    async def retire(self, key: str) -> None:
        await self.writer.run(Submission(RetireSegment(key)))
        await self.learn()

    async def learn(self) -> None:
        await self.publish()
        decisions = cast(MembershipDecisions, self.facts.decisions)
        async with self.facts.busy:
            await decisions.prepare()

    async def publish(self) -> None:
        """What relay and broker do: bring what this service said to its views."""
        for note in self.event_store.recorder.select_notifications(self.published + 1, 10_000):
            self.published = int(note.id)
            event: Any = self.event_store.domain_event(note)
            if (said := publishing.publish(event)) is not None:
                record = encode(event, self.published, said.key, said.data)
                heard = decode(record.key, record.value, record.headers)
                for view in self.own_views:
                    if f"crm.segmentation.{heard.name}.v{heard.major}" in view.handles:
                        await view.apply([heard])

    def view(self, projection: Any) -> View:
        return View(self.facts.documents.collection.database, projection, 1)

    async def segment(self, key: str) -> dict[str, Any]:
        await self.publish()
        return await queries.segment(self.view(DEFINITIONS), self.view(MEMBERS), key)

    async def ready(self, key: str) -> dict[str, Any]:
        """The segment, once everybody has been evaluated for it."""
        async with asyncio.timeout(20):
            while (segment := await self.segment(key))["status"] != "ready":
                await asyncio.sleep(0.05)
        return segment

    async def is_member(self, key: str, customer_id: str) -> bool:
        await self.publish()
        found = await queries.members_of(self.view(DEFINITIONS), self.view(MEMBERS), key, limit=50, cursor=None)
        return customer_id in [one["customer_id"] for one in found["items"]]

    def stored(self, customer_id: str) -> list[Any]:
        """What the log holds about a customer."""
        return [event for event, _ in self.event_store.load({Memberships.create_id(customer_id): 0})]

    def decisions(self, customer_id: str) -> list[tuple[str, str]]:
        """The decisions about a customer: event and segment."""
        return [
            (type(event).__name__, event.segment_key)
            for event in self.stored(customer_id)
            if not isinstance(event, Memberships.Created)
        ]


@pytest_asyncio.fixture
async def place(
    settings_for: Callable[[str], Settings],
    open_event_store: Callable[[str], EventSourcedApplication],
    open_writer: Callable[[EventSourcedApplication], Writer],
) -> AsyncIterator[Place]:
    settings = settings_for("segmentation")
    event_store = open_event_store("segmentation")
    writer = open_writer(event_store)
    kafka = Kafka(settings)
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        database = client[settings.database_name("segmentation")]
        resources = cast(
            Resources,
            SimpleNamespace(
                service="segmentation", database=database, kafka=kafka, application=event_store, writer=writer
            ),
        )

        def open_one() -> DecidedProjection:
            facts = DecidedProjection(resources, FACTS, MEMBERSHIPS)
            facts.take_over(frozenset(range(kafka.partitions)))
            return facts

        own_views = [DocumentProjection(database, one) for one in (DEFINITIONS, MEMBERS)]
        for view in own_views:
            await view.prepare(1)
        facts = open_one()
        await facts.prepare(1)
        yield Place(event_store, writer, facts, open_one, own_views)


@pytest_asyncio.fixture
async def evaluating(place: Place) -> AsyncIterator[Place]:
    """The same, with the evaluation of everybody at work."""
    task = asyncio.create_task(place.facts.work())
    yield place
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_event_decides_at_once_with_the_values_that_decided(place: Place) -> None:
    await place.define("repeat", REPEAT)
    second = purchase(LAN, 3)

    await place.facts.apply([purchase(LAN, 1), purchase(MINH, 2), second])

    assert await place.is_member("repeat", LAN)
    assert not await place.is_member("repeat", MINH)
    entered = place.stored(LAN)[-1]
    assert entered.occurred_at == NEW_YEAR + timedelta(days=3)
    assert entered.context["causation_id"] == second.id
    assert entered.context["correlation_id"] == second.correlation_id
    assert entered.context["actor"] == "segmentation"
    assert entered.because == "facts_changed"
    assert [(one["field"], one["actual"], one["result"]) for one in entered.values] == [("purchases.count", 2, True)]


async def test_transitions_within_one_batch_are_all_recorded(place: Place) -> None:
    await place.define("exactly-one", ONCE)
    await place.define("repeat", REPEAT)

    await place.facts.apply([purchase(LAN, 1), purchase(LAN, 2)])

    assert place.decisions(LAN) == [("Entered", "exactly-one"), ("Left", "exactly-one"), ("Entered", "repeat")]


async def test_the_same_events_again_decide_nothing_again(place: Place) -> None:
    await place.define("repeat", REPEAT)
    events = [purchase(LAN, 1), purchase(LAN, 2)]
    await place.facts.apply(events)

    place.facts.take_over(place.facts.partitions)
    await place.facts.apply(events)

    assert place.decisions(LAN) == [("Entered", "repeat")]


async def crash_while_writing(place: Place, *events: PublicEvent) -> None:
    """Apply these events up to the point where their decisions are stored and the documents are not."""

    async def crash(*_: Any) -> None:
        raise ConnectionError("the view's store went away")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(place.facts.documents, "write", crash)
        with pytest.raises(ConnectionError):
            await place.facts.apply(events)
    place.facts.take_over(place.facts.partitions)


async def test_a_crash_between_the_decision_and_the_view_decides_once(place: Place) -> None:
    await place.define("exactly-one", ONCE)
    await place.define("repeat", REPEAT)
    await place.facts.apply([purchase(LAN, 1)])
    await crash_while_writing(place, purchase(LAN, 2), purchase(LAN, 3))

    await place.facts.apply([purchase(LAN, 2), purchase(LAN, 3)])

    assert place.decisions(LAN) == [("Entered", "exactly-one"), ("Left", "exactly-one"), ("Entered", "repeat")]
    facts = (await place.facts.load([LAN]))[LAN]
    assert facts is not None
    assert facts["positions"] == {"interactions": 3}


async def test_a_decision_stored_before_a_crash_is_revised_when_events_come_in_another_order_after_it(
    place: Place,
) -> None:
    # given a member by two purchases, of which the second is not yet in the facts
    await place.define("repeat", {"all": [REPEAT, {"not": {"field": "tags", "op": "contains", "value": "staff"}}]})
    await place.facts.apply([purchase(LAN, 1)])
    await crash_while_writing(place, purchase(LAN, 2))

    # when the broker delivers another source's event first
    await place.facts.apply([tagged(LAN, 1, "staff"), purchase(LAN, 2)])

    assert place.decisions(LAN) == [("Entered", "repeat"), ("Left", "repeat")]


async def test_a_lost_view_is_folded_again_without_deciding_again(place: Place) -> None:
    await place.define("exactly-one", ONCE)
    await place.define("repeat", REPEAT)
    history = [purchase(LAN, 1), purchase(MINH, 2), purchase(LAN, 3)]
    await place.facts.apply(history)
    before = place.decisions(LAN), place.decisions(MINH)

    await place.facts.documents.collection.delete_many({})
    again = place.open()
    await again.prepare(1)
    for event in history:
        await again.apply([event])
    await again.apply([purchase(MINH, 4)])

    assert (place.decisions(LAN), place.decisions(MINH)[:1]) == before
    assert place.decisions(MINH) == [("Entered", "exactly-one"), ("Left", "exactly-one"), ("Entered", "repeat")]
    assert await place.is_member("repeat", LAN)


async def test_defining_a_segment_evaluates_everybody_with_progress(evaluating: Place) -> None:
    customers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(500)]
    await evaluating.facts.apply([purchase(one, number + 1) for number, one in enumerate(customers)])

    await evaluating.define("buyers", BUYER)
    segment = await evaluating.ready("buyers")

    assert segment["evaluated"] == {"done": 500, "total": 500}
    assert (await evaluating.segment("buyers"))["members"] == 500
    assert evaluating.stored(customers[0])[-1].because == "segment_defined"


async def test_a_new_definition_moves_only_whom_it_concerns(evaluating: Place) -> None:
    await evaluating.define("buyers", BUYER)
    await evaluating.facts.apply([purchase(LAN, 1), purchase(LAN, 2), purchase(MINH, 3)])

    await evaluating.define("buyers", REPEAT)
    await evaluating.ready("buyers")

    segment = await evaluating.segment("buyers")
    assert (segment["version"], segment["members"]) == (2, 1)
    assert evaluating.decisions(LAN) == [("Entered", "buyers")]
    assert evaluating.decisions(MINH) == [("Entered", "buyers"), ("Left", "buyers")]


async def test_retiring_a_segment_makes_its_members_leave_and_defining_it_again_brings_them_back(
    evaluating: Place,
) -> None:
    await evaluating.define("buyers", BUYER)
    await evaluating.facts.apply([purchase(LAN, 1)])

    await evaluating.retire("buyers")
    async with asyncio.timeout(10):
        while evaluating.decisions(LAN) != [("Entered", "buyers"), ("Left", "buyers")]:
            await asyncio.sleep(0.05)
    await evaluating.define("buyers", BUYER)
    await evaluating.ready("buyers")

    assert evaluating.decisions(LAN) == [("Entered", "buyers"), ("Left", "buyers"), ("Entered", "buyers")]


async def test_a_retired_segment_is_left_also_by_whom_a_crash_left_with_older_facts(evaluating: Place) -> None:
    await evaluating.define("buyers", BUYER)
    await crash_while_writing(evaluating, purchase(LAN, 1))
    await evaluating.retire("buyers")

    await evaluating.facts.apply([purchase(LAN, 1)])

    assert evaluating.decisions(LAN) == [("Entered", "buyers"), ("Left", "buyers")]


async def test_an_evaluation_that_was_interrupted_is_taken_up_again(place: Place) -> None:
    await place.facts.apply([purchase(LAN, 1)])
    await place.define("buyers", BUYER)
    assert (await place.segment("buyers"))["status"] == "evaluating"

    later = place.open()
    await later.prepare(1)
    task = asyncio.create_task(later.work())
    try:
        await place.ready("buyers")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert (await place.segment("buyers"))["members"] == 1


async def test_an_event_that_cannot_be_folded_fails_its_customer_only(place: Place) -> None:
    await place.define("buyers", BUYER)
    poison = dataclasses.replace(purchase(LAN, 1), data={"customer_id": LAN})

    failures = await place.facts.apply([poison, purchase(LAN, 2), purchase(MINH, 3)])

    assert {key: failure.event for key, failure in failures.items()} == {LAN: poison}
    assert await place.is_member("buyers", MINH)
    assert place.decisions(LAN) == []


async def test_why_shows_each_leaf_with_its_actual_value(place: Place) -> None:
    condition = {"all": [REPEAT, {"field": "purchases.revenue.VND", "op": "gt", "value": "100"}]}
    await place.define("good", condition)
    await place.facts.apply([purchase(LAN, 1, amount="70.5"), purchase(LAN, 2, amount="20.5")])

    definitions, members, facts = (place.view(one) for one in (DEFINITIONS, MEMBERS, FACTS))
    why = await queries.why(definitions, members, facts, "good", UUID(LAN))

    assert why["member"] is False
    assert why["since"] is None
    assert why["why"]["result"] is False
    assert [(leaf["actual"], leaf["result"]) for leaf in why["why"]["all"]] == [(2, True), ("91.0", False)]


async def test_a_preview_counts_and_stores_nothing(place: Place) -> None:
    await place.facts.apply([purchase(LAN, 1), purchase(LAN, 2), purchase(MINH, 3)])

    found = await queries.preview(place.view(FACTS), parse(REPEAT))

    assert found == {"count": 1, "total": 2, "sample": [LAN]}
    assert place.decisions(LAN) == []
    assert await place.facts.documents.collection.database[EVALUATIONS].count_documents({}) == 0
