"""The rules of purchases and interactions."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from crm_shared.domain import Conflict, InvalidInput
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


def problem(facts: PurchaseFacts) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as refused:
        Purchase.record(facts)
    (error,) = refused.value.errors
    return error.field, error.code


def test_one_order_of_one_system_always_has_the_same_id() -> None:
    recorded = Purchase.record(order())

    assert recorded.id == Purchase.record(order(customer_id=str(UUID(int=1)))).id
    assert recorded.id != Purchase.record(order(system="cdno", order_id="w00004-19970118-1")).id


def test_a_purchase_needs_no_lines_and_may_cost_nothing() -> None:
    recorded = Purchase.record(order(total=usd("0")))

    assert (recorded.amount, recorded.currency, recorded.lines) == (Decimal(0), "USD", [])


def test_lines_without_prices_say_nothing_about_the_total() -> None:
    recorded = Purchase.record(order(lines=(Line("cd", 2), Line("lp", 1))))

    assert recorded.lines == [{"sku": "cd", "quantity": 2}, {"sku": "lp", "quantity": 1}]


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

    recorded = Purchase.record(order(total=usd(total), lines=lines))

    assert recorded.amount == Decimal(total)


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

    assert problem(order(total=usd(total), lines=lines)) == ("/lines", "lines_do_not_add_up")


def test_a_line_without_a_price_leaves_room_below_the_total_only() -> None:
    below = (Line("cd", 1, unit_price=usd("29.33")), Line("bag", 1))
    above = (Line("cd", 1, unit_price=usd("29.34")), Line("bag", 1))

    assert Purchase.record(order(lines=below)).amount == Decimal("29.33")
    assert problem(order(lines=above)) == ("/lines", "lines_do_not_add_up")


def test_a_line_in_another_currency_than_the_total_is_refused() -> None:
    lines = (Line("cd", 1), Line("lp", 1, unit_price=Money(Decimal(1), "VND")))

    assert problem(order(lines=lines)) == ("/lines/1/unit_price/currency", "currency_mismatch")


def test_a_purchase_does_not_cost_less_than_nothing() -> None:
    assert problem(order(total=usd("-0.01"))) == ("/total/amount", "negative_amount")


def test_an_order_that_is_reported_again_is_the_same_however_its_numbers_are_written() -> None:
    lines = (Line("cd", 2, unit_price=usd("14.665")),)
    recorded = Purchase.record(order(lines=lines))

    recorded.expect(
        order(
            total=usd("29.3300"),
            occurred_at=MORNING.astimezone(timezone(timedelta(hours=7))),
            lines=(Line("cd", 2, unit_price=usd("14.66500")),),
        )
    )


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
    recorded = Purchase.record(order())

    with pytest.raises(Conflict) as refused:
        recorded.expect(order(**change))

    assert refused.value.code == "purchase_conflict"
    assert refused.value.extra == {"purchase_id": str(recorded.id)}


def test_an_interaction_with_an_external_id_is_the_same_one_on_its_channel() -> None:
    logged = Interaction.log(call())

    assert logged.id == Interaction.log(call(subject=None)).id
    assert logged.id != Interaction.log(call(channel="sms")).id


def test_interactions_without_an_external_id_are_all_different() -> None:
    assert Interaction.log(call(external_id=None)).id != Interaction.log(call(external_id=None)).id


def test_no_attributes_are_the_same_as_none_given() -> None:
    Interaction.log(call(attributes=None)).expect(call(attributes={}))


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
    logged = Interaction.log(call())

    with pytest.raises(Conflict) as refused:
        logged.expect(call(**change))

    assert refused.value.code == "interaction_conflict"
    assert refused.value.extra == {"interaction_id": str(logged.id)}


def test_an_event_says_when_it_happened_apart_from_when_it_was_recorded() -> None:
    (event,) = Purchase.record(order()).collect_events()

    assert isinstance(event, Purchase.Created)
    assert event.occurred_at == MORNING
    assert datetime.now(UTC) - event.timestamp < timedelta(minutes=1)
