"""What purchases and interactions say in public, and the view that is folded from it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from crm_contracts.envelope import PublicEvent, decode, encode
from crm_shared.application import Command
from crm_shared.projections import advance
from crm_shared.testing import given
from interactions_service.application import LogInteraction, RecordPurchase
from interactions_service.domain import InteractionFacts, Line, Money, PurchaseFacts
from interactions_service.projections import ACTIVITIES, activity_id, fold
from interactions_service.publishing import publish
from interactions_service.queries import view

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
PURCHASE = PurchaseFacts(
    customer_id=CUSTOMER,
    system="cdnow",
    order_id="1",
    occurred_at=datetime(1997, 1, 18, 3, 30, 0, 123456, tzinfo=UTC),
    total=Money(Decimal("0.000000"), "VND"),
    lines=(Line("cd", 2, None, "music", Money(Decimal("0"), "VND")), Line("bag", 1)),
    channel="web",
)
CALL = InteractionFacts(
    customer_id=CUSTOMER,
    channel="phone",
    direction="inbound",
    occurred_at=PURCHASE.occurred_at,
    subject="Hỏi về thời gian giao hàng",
    attributes={"seconds": 184, "answered": True, "score": 0.5, "queue": "A"},
)


def public(command: Command[Any], position: int = 7) -> PublicEvent:
    """The only event that the command stores, as a subscriber reads it."""
    (event,) = given().when(command).events
    publication = publish(event)
    assert publication is not None
    record = encode(event, position, publication.key, publication.data)
    return decode(record.key, record.value, record.headers)


def test_a_purchase_is_published_with_its_amounts_written_out() -> None:
    event = public(RecordPurchase(PURCHASE))

    assert (event.name, event.key, event.occurred_at) == ("PurchaseRecorded", CUSTOMER, PURCHASE.occurred_at)
    assert event.data == {
        "purchase_id": str(PURCHASE.id),
        "customer_id": CUSTOMER,
        "system": "cdnow",
        "order_id": "1",
        "total": {"amount": "0.000000", "currency": "VND"},
        "lines": [
            {
                "sku": "cd",
                "name": None,
                "category": "music",
                "quantity": 2,
                "unit_price": {"amount": "0", "currency": "VND"},
            },
            {"sku": "bag", "name": None, "category": None, "quantity": 1, "unit_price": None},
        ],
        "channel": "web",
    }


@pytest.mark.parametrize("amount", ["0.000001", "999999999999999999.999999", "-0.5", "1E+3", "0E-6"])
def test_an_amount_is_never_written_with_an_exponent(amount: str) -> None:
    line = Line("cd", 1, unit_price=Money(Decimal(amount), "USD"))
    discounted = replace(PURCHASE, total=Money(Decimal(10) ** 18, "USD"), lines=(line, Line("bag", 1)))

    written = public(RecordPurchase(discounted)).data["lines"][0]["unit_price"]["amount"]

    assert "E" not in written
    assert Decimal(written) == Decimal(amount)


def test_an_interaction_is_published_with_the_types_of_its_attributes() -> None:
    event = public(LogInteraction(CALL))

    assert event.name == "InteractionLogged"
    assert event.data["attributes"] == CALL.attributes
    assert event.data["attributes"]["answered"] is True
    assert (event.data["subject"], event.data["body"], event.data["external_id"]) == (CALL.subject, None, None)


def test_the_largest_request_still_fits_into_a_record() -> None:
    lines = tuple(Line(f"{number:0>100}", 1, "ổ" * 20) for number in range(200))
    large = LogInteraction(replace(CALL, subject="ổ" * 1_000, body="ổ" * 12_000))

    assert public(RecordPurchase(replace(PURCHASE, lines=lines))).data["lines"][199]["name"] == "ổ" * 20
    assert len(public(large).data["body"]) == 12_000


def test_other_events_stay_private() -> None:
    assert publish(object()) is None


@pytest.mark.parametrize(
    ("command", "kind"), [(RecordPurchase(PURCHASE), "purchase"), (LogInteraction(CALL), "interaction")]
)
def test_each_activity_becomes_one_document(command: Any, kind: str) -> None:
    event = public(command)

    document = advance(None, event, fold)

    assert f"crm.interactions.{event.name}.v1" in ACTIVITIES.handles
    assert activity_id(event) == str(command.facts.id)
    assert document == {
        "type": kind,
        "customer_id": CUSTOMER,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "data": event.data,
        "positions": {"interactions": 7},
    }


def test_an_event_that_comes_again_changes_nothing() -> None:
    event = public(RecordPurchase(PURCHASE))
    document = advance(None, event, fold)

    assert advance(document, event, fold) is document


def test_an_activity_is_shown_with_its_type_times_and_position() -> None:
    event = public(RecordPurchase(PURCHASE))
    document = advance(None, event, fold)
    assert document is not None

    shown = view(document)

    assert shown["type"] == "purchase"
    assert shown["occurred_at"] == "1997-01-18T03:30:00.123456Z"
    assert shown["position"] == 7
    assert shown["total"] == {"amount": "0.000000", "currency": "VND"}


def test_a_type_that_is_no_activity_is_not_folded() -> None:
    event = replace(public(RecordPurchase(PURCHASE)), name="PurchaseRefunded")

    with pytest.raises(ValueError, match="PurchaseRefunded"):
        fold(None, event)
