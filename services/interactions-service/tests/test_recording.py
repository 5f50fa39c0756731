"""Recording purchases and interactions against a real event store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crm_shared.application import Command, Outcome, Writer
from crm_shared.domain import Conflict, InvalidInput
from interactions_service.application import Interactions
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
def interactions(open_application: Callable[[type[Interactions]], Interactions]) -> Interactions:
    return open_application(Interactions)


@pytest.fixture
def writer(interactions: Interactions, open_writer: Callable[[Interactions], Writer]) -> Writer:
    return open_writer(interactions)


def record(interactions: Interactions, facts: PurchaseFacts) -> Command[bool]:
    return Command(lambda unit: interactions.record_purchase(unit, facts), reads=(facts.id,))


def log(interactions: Interactions, facts: InteractionFacts) -> Command[bool]:
    return Command(lambda unit: interactions.log_interaction(unit, facts), reads=(facts.id,))


async def test_a_purchase_comes_back_from_the_store_as_it_was_recorded(
    interactions: Interactions, writer: Writer
) -> None:
    outcome = await writer.run(record(interactions, PURCHASE))

    stored: Purchase = interactions.repository.get(PURCHASE.id)
    assert outcome == Outcome(True, 1)
    assert str(stored.amount) == "29.330"
    assert stored.lines == [{"sku": "cd", "quantity": 2, "name": "Abbey Road", "unit_price": Decimal("14.665")}]
    stored.expect(PURCHASE)


async def test_the_same_order_again_answers_with_the_first_position_and_stores_nothing(
    interactions: Interactions, writer: Writer
) -> None:
    await writer.run(record(interactions, PURCHASE))
    await writer.run(record(interactions, replace(PURCHASE, order_id="2")))

    again = await writer.run(record(interactions, PURCHASE))

    assert again == Outcome(False, 1)
    assert interactions.recorder.max_notification_id() == 2


async def test_an_order_that_comes_twice_in_one_batch_is_recorded_once(
    interactions: Interactions, writer: Writer
) -> None:
    other = replace(PURCHASE, channel="web")

    first, again, conflict = await writer.run_all([record(interactions, one) for one in (PURCHASE, PURCHASE, other)])

    assert (first, again) == (Outcome(True, 1), Outcome(False, 1))
    assert isinstance(conflict, Conflict)
    assert conflict.code == "purchase_conflict"
    assert interactions.recorder.max_notification_id() == 1


async def test_a_refused_purchase_leaves_its_order_id_free(interactions: Interactions, writer: Writer) -> None:
    wrong = replace(PURCHASE, total=Money(Decimal("29.34"), "USD"))

    refused, recorded = await writer.run_all([record(interactions, wrong), record(interactions, PURCHASE)])

    assert isinstance(refused, InvalidInput)
    assert recorded == Outcome(True, 1)


async def test_an_external_id_is_logged_once_and_calls_without_one_every_time(
    interactions: Interactions, writer: Writer
) -> None:
    anonymous = [replace(CALL, external_id=None) for _ in range(2)]

    outcomes = await writer.run_all([log(interactions, one) for one in (CALL, CALL, *anonymous)])

    assert outcomes == [Outcome(True, 1), Outcome(False, 1), Outcome(True, 2), Outcome(True, 3)]


async def test_an_external_id_with_other_content_is_a_conflict_also_for_another_process(
    interactions: Interactions, writer: Writer, open_writer: Callable[[Interactions], Writer]
) -> None:
    await writer.run(log(interactions, CALL))

    with pytest.raises(Conflict) as refused:
        await open_writer(interactions).run(log(interactions, replace(CALL, direction="outbound")))

    assert refused.value.code == "interaction_conflict"
