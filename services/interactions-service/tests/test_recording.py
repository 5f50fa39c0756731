"""Recording purchases and interactions against a real event store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from crm_shared.application import Submission, Writer
from crm_shared.domain import Conflict, InvalidInput
from crm_shared.postgres import EventSourcedApplication
from interactions_service.application import InteractionLogged, LogInteraction, PurchaseRecorded, RecordPurchase
from interactions_service.domain import InteractionFacts, Line, Money, Purchase, PurchaseFacts

PURCHASE = PurchaseFacts(
    customer_id="3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e",
    system="cdnow",
    order_id="1",
    occurred_at=datetime(1997, 1, 18, tzinfo=UTC),
    total=Money(Decimal("29.330"), "USD"),
    lines=(Line("cd", 2, "Abbey Road", None, Money(Decimal("14.665"), "USD")),),
)
CALL = InteractionFacts(
    customer_id=PURCHASE.customer_id,
    channel="phone",
    direction="inbound",
    occurred_at=PURCHASE.occurred_at,
    external_id="call-93",
)


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("interactions")


@pytest.fixture
def writer(store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]) -> Writer:
    return open_writer(store)


def record(facts: PurchaseFacts) -> Submission[PurchaseRecorded]:
    return Submission(RecordPurchase(facts))


def log(facts: InteractionFacts) -> Submission[InteractionLogged]:
    return Submission(LogInteraction(facts))


def created(*outcomes: Any) -> list[tuple[bool, int]]:
    return [(one.value.created, one.position) for one in outcomes]


async def test_a_purchase_comes_back_from_the_store_as_it_was_recorded(
    store: EventSourcedApplication, writer: Writer
) -> None:
    outcome = await writer.run(record(PURCHASE))

    stored: Purchase = store.repository.get(PURCHASE.id)
    assert created(outcome) == [(True, 1)]
    assert str(stored.amount) == "29.330"
    assert stored.lines == [{"sku": "cd", "quantity": 2, "name": "Abbey Road", "unit_price": Decimal("14.665")}]
    stored.expect(PURCHASE)


async def test_the_same_order_again_answers_with_the_first_position_and_stores_nothing(
    store: EventSourcedApplication, writer: Writer
) -> None:
    await writer.run(record(PURCHASE))
    await writer.run(record(replace(PURCHASE, order_id="2")))

    again = await writer.run(record(PURCHASE))

    assert created(again) == [(False, 1)]
    assert store.recorder.max_notification_id() == 2


async def test_an_order_that_comes_twice_in_one_batch_is_recorded_once(
    store: EventSourcedApplication, writer: Writer
) -> None:
    other = replace(PURCHASE, channel="web")

    first, again, conflict = await writer.run_all([record(one) for one in (PURCHASE, PURCHASE, other)])

    assert created(first, again) == [(True, 1), (False, 1)]
    assert isinstance(conflict, Conflict)
    assert conflict.code == "purchase_conflict"
    assert store.recorder.max_notification_id() == 1


async def test_a_refused_purchase_leaves_its_order_id_free(store: EventSourcedApplication, writer: Writer) -> None:
    wrong = replace(PURCHASE, total=Money(Decimal("29.34"), "USD"))

    refused, recorded = await writer.run_all([record(wrong), record(PURCHASE)])

    assert isinstance(refused, InvalidInput)
    assert created(recorded) == [(True, 1)]


async def test_an_external_id_is_logged_once_and_calls_without_one_every_time(
    store: EventSourcedApplication, writer: Writer
) -> None:
    anonymous = [replace(CALL, external_id=None) for _ in range(2)]

    outcomes = await writer.run_all([log(one) for one in (CALL, CALL, *anonymous)])

    assert created(*outcomes) == [(True, 1), (False, 1), (True, 2), (True, 3)]


async def test_an_external_id_with_other_content_is_a_conflict_also_for_another_process(
    store: EventSourcedApplication, writer: Writer, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    await writer.run(log(CALL))

    with pytest.raises(Conflict) as refused:
        await open_writer(store).run(log(replace(CALL, direction="outbound")))

    assert refused.value.code == "interaction_conflict"
