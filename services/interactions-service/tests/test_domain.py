"""The rules of purchases and interactions."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from crm_shared.testing import given, stored
from interactions_service.application import InteractionLogged, LogInteraction, PurchaseRecorded, RecordPurchase
from interactions_service.domain import Interaction, InteractionFacts, Line, Money, Purchase, PurchaseFacts

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
MORNING = datetime(1997, 1, 18, 3, 30, tzinfo=UTC)


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def order(**changes: Any) -> PurchaseFacts:
    facts: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "system": "cdnow",
        "order_id": "00004-19970118-1",
        "occurred_at": MORNING,
        "total": usd("29.33"),
    }
    return PurchaseFacts(**{**facts, **changes})


def call(**changes: Any) -> InteractionFacts:
    facts: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "channel": "phone",
        "direction": "inbound",
        "occurred_at": MORNING,
        "subject": "Hỏi về thời gian giao hàng",
        "external_id": "call-93",
        "attributes": {"seconds": 184, "answered": True},
    }
    return InteractionFacts(**{**facts, **changes})


def record(**changes: Any) -> RecordPurchase:
    return RecordPurchase(order(**changes))


def log(**changes: Any) -> LogInteraction:
    return LogInteraction(call(**changes))


def test_one_order_of_one_system_always_has_the_same_id() -> None:
    assert order().id == order(customer_id=str(UUID(int=1))).id
    assert order().id != order(system="cdno", order_id="w00004-19970118-1").id


def test_a_purchase_is_recorded_with_its_facts_and_when_it_happened() -> None:
    recorded = given().when(record(channel="web"))

    recorded.answers(PurchaseRecorded(str(order().id), CUSTOMER, created=True)).then(
        stored(
            Purchase.Created,
            originator_id=order().id,
            customer_id=CUSTOMER,
            system="cdnow",
            order_id="00004-19970118-1",
            amount=Decimal("29.33"),
            currency="USD",
            channel="web",
            occurred_at=MORNING,
        )
    )


def test_a_purchase_needs_no_lines_and_may_cost_nothing() -> None:
    given().when(record(total=usd("0"))).then(
        stored(Purchase.Created, amount=Decimal(0), currency="USD", lines=[]),
    )


def test_lines_without_prices_say_nothing_about_the_total() -> None:
    given().when(record(lines=(Line("cd", 2), Line("lp", 1)))).then(
        stored(Purchase.Created, lines=[{"sku": "cd", "quantity": 2}, {"sku": "lp", "quantity": 1}])
    )


@pytest.mark.parametrize(
    ("total", "prices"),
    [
        ("29.33", [(2, "14.665")]),
        ("30", [(2, "10"), (1, "10.000000")]),
        ("9", [(1, "10"), (1, "-1")]),
        ("0", [(5, "0.00")]),
        ("999999999000000000.999999", [(1_000_000_000, "999999999"), (1, "0.999999")]),
    ],
)
def test_priced_lines_that_add_up_are_recorded(total: str, prices: list[tuple[int, str]]) -> None:
    lines = tuple(Line("cd", quantity, unit_price=usd(price)) for quantity, price in prices)

    given().when(record(total=usd(total), lines=lines)).then(stored(Purchase.Created, amount=Decimal(total)))


@pytest.mark.parametrize(
    ("total", "prices"),
    [
        ("29.33", [(2, "14.66")]),
        ("29.33", [(2, "14.66"), (1, "0.02")]),
        ("999999999000000001", [(1_000_000_000, "999999999.000000"), (1, "0.999999")]),
    ],
)
def test_priced_lines_that_do_not_add_up_are_refused(total: str, prices: list[tuple[int, str]]) -> None:
    lines = tuple(Line("cd", quantity, unit_price=usd(price)) for quantity, price in prices)

    given().when(record(total=usd(total), lines=lines)).refused("lines_do_not_add_up", at="/lines")


def test_a_line_without_a_price_leaves_room_below_the_total_only() -> None:
    below = (Line("cd", 1, unit_price=usd("29.33")), Line("bag", 1))
    above = (Line("cd", 1, unit_price=usd("29.34")), Line("bag", 1))

    given().when(record(lines=below)).then(stored(Purchase.Created, amount=Decimal("29.33")))
    given().when(record(lines=above)).refused("lines_do_not_add_up", at="/lines")


def test_a_line_in_another_currency_than_the_total_is_refused() -> None:
    lines = (Line("cd", 1), Line("lp", 1, unit_price=Money(Decimal(1), "VND")))

    given().when(record(lines=lines)).refused("currency_mismatch", at="/lines/1/unit_price/currency")


def test_a_purchase_does_not_cost_less_than_nothing() -> None:
    given().when(record(total=usd("-0.01"))).refused("negative_amount", at="/total/amount")


def test_an_order_that_is_reported_again_is_the_same_however_its_numbers_are_written() -> None:
    again = record(
        total=usd("29.3300"),
        occurred_at=MORNING.astimezone(timezone(timedelta(hours=7))),
        lines=(Line("cd", 2, unit_price=usd("14.66500")),),
    )

    reported = given(record(lines=(Line("cd", 2, unit_price=usd("14.665")),))).when(again)

    reported.then().answers(PurchaseRecorded(str(order().id), CUSTOMER, created=False))


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": str(UUID(int=1))},
        {"occurred_at": MORNING + timedelta(microseconds=1)},
        {"total": usd("29.34")},
        {"total": Money(Decimal("29.33"), "VND")},
        {"lines": (Line("cd", 2),)},
        {"channel": "web"},
    ],
)
def test_an_order_that_is_reported_again_with_other_content_is_a_conflict(change: dict[str, Any]) -> None:
    reported = given(record()).when(record(**change)).refused("purchase_conflict")

    assert reported.error is not None
    assert reported.error.extra == {"purchase_id": str(order().id)}


def test_an_interaction_is_logged_with_its_facts_and_when_it_happened() -> None:
    logged = given().when(log())

    logged.answers(InteractionLogged(str(call().id), CUSTOMER, created=True)).then(
        stored(
            Interaction.Created,
            originator_id=call().id,
            customer_id=CUSTOMER,
            channel="phone",
            external_id="call-93",
            attributes={"seconds": 184, "answered": True},
            occurred_at=MORNING,
        )
    )


def test_an_interaction_with_an_external_id_is_the_same_one_on_its_channel() -> None:
    assert call().id == call(subject=None).id
    assert call().id != call(channel="sms").id


def test_interactions_without_an_external_id_are_all_different() -> None:
    anonymous = {"external_id": None}

    given(log(**anonymous)).when(log(**anonymous)).then(stored(Interaction.Created, external_id=None))
    assert call(**anonymous).id != call(**anonymous).id


def test_no_attributes_are_the_same_as_none_given() -> None:
    given(log(attributes=None)).when(log(attributes={})).then()


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "outbound"},
        {"body": "Chị Khai hỏi đơn hàng."},
        {"agent": "agent-17"},
        {"attributes": {"seconds": 184, "answered": 1}},
        {"attributes": {"seconds": 184}},
        {"attributes": None},
    ],
)
def test_an_external_id_that_comes_again_with_other_content_is_a_conflict(change: dict[str, Any]) -> None:
    reported = given(log()).when(log(**change)).refused("interaction_conflict")

    assert reported.error is not None
    assert reported.error.extra == {"interaction_id": str(call().id)}


def test_an_event_says_when_it_happened_apart_from_when_it_was_recorded() -> None:
    (event,) = given().when(record()).events

    assert event.occurred_at == MORNING
    assert datetime.now(UTC) - event.timestamp < timedelta(minutes=1)
