"""What each event does to a customer's document, and which row it adds to the timeline."""

import copy
import dataclasses
import decimal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from bson.decimal128 import Decimal128
from pydantic import ValidationError

from crm_contracts.catalogue import examples
from crm_contracts.envelope import PublicEvent
from crm_contracts.events import contacts, feedback, interactions, segmentation
from crm_contracts.registry import EventData, event_type_of
from crm_contracts.types import EXAMPLE_CUSTOMER as CUSTOMER
from crm_contracts.types import Money
from crm_shared.projections import advance
from customer360_service.projections import CUSTOMERS
from customer360_service.projections.customer import fold
from customer360_service.projections.timeline import row

Happened = Callable[..., PublicEvent]
NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OF_CUSTOMERS = [one for one in examples() if event_type_of(type(one)).ce_type in CUSTOMERS.handles]


def identified(name: str | None = "Nguyễn Thị Khai", **changes: Any) -> contacts.CustomerIdentified:
    facts: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "source": "pos",
        "identifiers": [contacts.Identifier(type="email", value="khai@example.com")],
        "profile": contacts.Profile(kind="person", name=name, language="vi"),
        "tags": ["khách quen"],
    }
    return contacts.CustomerIdentified(**{**facts, **changes})


def bought(amount: str, currency: str = "USD") -> interactions.PurchaseRecorded:
    return interactions.PurchaseRecorded(
        purchase_id="c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f",
        customer_id=CUSTOMER,
        system="cdnow",
        order_id="1",
        total=Money(amount=amount, currency=currency),
        lines=[interactions.PurchaseLine(sku="cd", quantity=2)],
    )


def contacted(channel: str) -> interactions.InteractionLogged:
    return interactions.InteractionLogged(
        interaction_id="6b1f7c0a-98d1-5f5b-a9d5-2d0f1d8e7a31",
        customer_id=CUSTOMER,
        channel=channel,
        direction="inbound",
    )


def answered(response: str, *numbers: int, survey: str = "nps") -> feedback.SurveyAnswered:
    return feedback.SurveyAnswered(
        response_id=response,
        survey_id="0d9c8b7a-6f5e-5d4c-8b3a-291807f6e5d4",
        survey_key=survey,
        survey_version=1,
        customer_id=CUSTOMER,
        answers=[feedback.QuestionAnswer(question=f"q{i}", kind="nps", number=n) for i, n in enumerate(numbers)],
    )


def entered(key: str) -> segmentation.CustomerEnteredSegment:
    return segmentation.CustomerEnteredSegment(**_membership(key))


def left(key: str) -> segmentation.CustomerLeftSegment:
    return segmentation.CustomerLeftSegment(**_membership(key))


def _membership(key: str) -> dict[str, Any]:
    return {
        "customer_id": CUSTOMER,
        "segment_id": "b7a9c1de-2f34-5c68-8d70-91b2a3c4d5e6",
        "segment_key": key,
        "segment_name": key.title(),
        "definition_version": 1,
        "because": "facts_changed",
        "values": [],
    }


def folded(happened: Happened, *datas: EventData | tuple[EventData, datetime]) -> dict[str, Any]:
    """The document after these events in this order."""
    document: dict[str, Any] | None = None
    for position, one in enumerate(datas, 1):
        data, at = one if isinstance(one, tuple) else (one, NOON)
        document = advance(document, happened(data, position, at), fold)
    assert document is not None
    return document


def test_an_announced_customer_has_details_and_is_found_without_case_and_diacritics(happened: Happened) -> None:
    document = folded(happened, identified())

    section = document["contacts"]
    assert section["identifiers"] == [{"type": "email", "value": "khai@example.com"}]
    assert section["profile"] == {"kind": "person", "name": "Nguyễn Thị Khai", "language": "vi"}
    assert (section["tags"], section["attributes"], section["first_at"]) == (["khách quen"], {}, NOON)
    assert section["search"] == ["khai", "khai@example.com", "nguyen", "thi"]
    assert document["positions"] == {"contacts": 1}


def test_changed_details_are_set_and_cleared_and_the_old_name_finds_nobody(happened: Happened) -> None:
    before = identified(attributes={"vip": True, "shoes": 38})
    change = contacts.CustomerDetailsChanged(
        customer_id=CUSTOMER,
        changed=["/profile/name", "/profile/language", "/profile/address/city", "/attributes/vip", "/attributes/color"],
        profile=contacts.Profile(name="Trần Khải", address=contacts.Address(city="Huế")),
        attributes={"color": "đỏ"},
    )

    section = folded(happened, before, change)["contacts"]

    assert section["profile"] == {"kind": "person", "name": "Trần Khải", "address": {"city": "Huế"}}
    assert section["attributes"] == {"shoes": 38, "color": "đỏ"}
    assert section["search"] == ["khai", "khai@example.com", "tran"]


def test_a_linked_phone_is_found_with_and_without_its_country_code(happened: Happened) -> None:
    phone = contacts.Identifier(type="phone", value="+84901234567")
    link = contacts.IdentityLinked(customer_id=CUSTOMER, identifier=phone)

    section = folded(happened, identified(None), link, link)["contacts"]

    assert [one["type"] for one in section["identifiers"]] == ["email", "phone"]
    assert {"84901234567", "0901234567"} <= set(section["search"])


def test_tags_come_and_go_once_each(happened: Happened) -> None:
    on = contacts.CustomerTagged(customer_id=CUSTOMER, tag="vip")
    off = contacts.CustomerUntagged(customer_id=CUSTOMER, tag="khách quen")

    assert folded(happened, identified(), on, on, off)["contacts"]["tags"] == ["vip"]


def test_preferences_are_replaced_by_what_they_are_now(happened: Happened) -> None:
    changes = [
        contacts.PreferencesChanged(
            customer_id=CUSTOMER, changed=[], preferences=contacts.Preferences(channels=channels, frequency=frequency)
        )
        for channels, frequency in (({"email": True}, "daily"), ({"email": False, "sms": True}, None))
    ]

    section = folded(happened, identified(), *changes)["contacts"]

    assert section["preferences"] == {"channels": {"email": False, "sms": True}}


def test_revenue_is_exact_per_currency(happened: Happened) -> None:
    purchases = [bought("0.10"), bought("0.20"), bought("1250000", "VND"), bought("29.3"), bought("-4.5")]

    found = folded(happened, *purchases)["interactions"]["purchases"]

    assert found["count"] == 5
    assert found["by_currency"] == {"USD": {"count": 4, "revenue": "25.10"}, "VND": {"count": 1, "revenue": "1250000"}}


def test_an_import_that_goes_back_in_time_moves_the_first_time_and_not_the_last(happened: Happened) -> None:
    section = folded(
        happened,
        (bought("1"), NOON),
        (bought("1"), NOON - 30 * DAY),
        (contacted("email"), NOON - 40 * DAY),
        (contacted("email"), NOON - 50 * DAY),
        (contacted("phone"), NOON - 45 * DAY),
    )["interactions"]

    assert (section["purchases"]["first_at"], section["purchases"]["last_at"]) == (NOON - 30 * DAY, NOON)
    assert section["interactions"]["last_at"] == NOON - 40 * DAY
    assert section["interactions"]["by_channel"] == {
        "email": {"count": 2, "last_at": NOON - 40 * DAY},
        "phone": {"count": 1, "last_at": NOON - 45 * DAY},
    }
    assert (section["first_at"], section["last_at"]) == (NOON - 50 * DAY, NOON)


def test_segments_are_those_entered_and_not_left(happened: Happened) -> None:
    later = NOON + DAY
    section = folded(happened, entered("big"), entered("loyal"), left("big"), left("never"), (entered("big"), later))

    assert section["segmentation"]["segments"] == {
        "loyal": {"name": "Loyal", "since": NOON},
        "big": {"name": "Big", "since": later},
    }


def test_the_latest_answer_is_by_the_time_of_answering_and_then_by_the_log(happened: Happened) -> None:
    section = folded(
        happened,
        (answered("first", 3), NOON),
        (answered("imported", 10), NOON - DAY),
        (answered("same time", 8), NOON),
        (answered("no nps", survey="other"), NOON + DAY),
    )["feedback"]

    assert section["count"] == 4
    assert section["latest"]["nps"] == {"response_id": "same time", "answered_at": NOON, "answers": {"q0": 8}}
    assert section["nps"] == {"number": 8, "at": NOON}
    assert (section["first_at"], section["last_at"]) == (NOON - DAY, NOON + DAY)


def test_times_are_cut_to_what_the_store_gives_back_before_they_are_compared(happened: Happened) -> None:
    earlier, later = NOON.replace(microsecond=300), NOON.replace(microsecond=500)
    hanoi = timezone(timedelta(hours=7))

    section = folded(happened, (answered("a", 1), later.astimezone(hanoi)), (answered("b", 2), earlier))["feedback"]

    assert section["latest"]["nps"]["response_id"] == "b"
    assert section["last_at"] == NOON


def test_a_customer_is_unidentified_until_contacts_speaks(happened: Happened) -> None:
    document = folded(happened, bought("1"), entered("big"), answered("a", 9))

    assert "contacts" not in document
    assert set(document) == {"interactions", "segmentation", "feedback", "positions"}


@pytest.mark.parametrize("data", OF_CUSTOMERS, ids=lambda data: type(data).__name__)
def test_every_documented_event_of_a_customer_folds_and_changes_nothing_that_it_was_given(
    happened: Happened, data: EventData
) -> None:
    before = folded(happened, *OF_CUSTOMERS, *OF_CUSTOMERS)
    untouched = copy.deepcopy(before)

    after = advance(before, happened(data, 1000), fold)

    assert before == untouched
    assert after is not None
    assert after["positions"][event_type_of(type(data)).service] == 1000


def test_definitions_of_segments_and_surveys_make_no_customers() -> None:
    others = {type(one).__name__ for one in examples() if not event_type_of(type(one)).state} - {
        type(one).__name__ for one in OF_CUSTOMERS
    }

    assert others == {"SegmentDefined", "SegmentRetired", "SurveyPublished"}


def test_unknown_fields_are_ignored_and_a_broken_contract_is_not(happened: Happened) -> None:
    good = happened(bought("5"), 1)
    newer = dataclasses.replace(good, data={**good.data, "discount": {"code": "X"}})
    poison = [
        dataclasses.replace(good, data={name: value for name, value in good.data.items() if name != "total"}),
        dataclasses.replace(good, data={**good.data, "total": {"amount": "NaN", "currency": "USD"}}),
        dataclasses.replace(good, data={**good.data, "lines": "two"}),
    ]

    assert fold(None, newer) == fold(None, good)
    for event in poison:
        with pytest.raises(ValidationError):
            fold(None, event)


def test_what_is_said_of_a_broken_payload_names_the_place_and_not_what_stands_there(happened: Happened) -> None:
    good = happened(identified(), 1)
    poison = dataclasses.replace(good, data={**good.data, "profile": {"name": ["Nguyễn Thị Khai"]}})

    with pytest.raises(ValidationError) as raised:
        fold(None, poison)

    assert "profile.name" in str(raised.value)
    assert "Khai" not in str(raised.value)


def test_a_sum_that_cannot_be_exact_is_refused(happened: Happened) -> None:
    document = folded(happened, bought("9" * 34))

    with pytest.raises(decimal.Inexact):
        fold(document, happened(bought("0.1"), 2))


def test_a_row_holds_the_payload_without_nulls_and_what_figures_are_summed_from(happened: Happened) -> None:
    event = happened(bought("29.33"), 7, NOON.replace(microsecond=1500))

    found = row(event)

    assert orjson.loads(found.pop("data")) == {
        "purchase_id": "c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f",
        "system": "cdnow",
        "order_id": "1",
        "total": {"amount": "29.33", "currency": "USD"},
        "lines": [{"sku": "cd", "quantity": 2}],
    }
    assert found == {
        "customer_id": CUSTOMER,
        "type": "PurchaseRecorded",
        "source": "interactions",
        "position": 7,
        "occurred_at": NOON.replace(microsecond=1000),
        "recorded_at": NOON,
        "amount": Decimal128("29.33"),
        "currency": "USD",
    }


@pytest.mark.parametrize(
    ("numbers", "groups"),
    [
        ((0, 6), {"detractors": 2}),
        ((7, 8, 9), {"passives": 2, "promoters": 1}),
        ((10,), {"promoters": 1}),
        ((11, -1), {}),
        ((), {}),
    ],
)
def test_answers_fall_into_the_groups_of_the_net_promoter_score(
    happened: Happened, numbers: Sequence[int], groups: dict[str, int]
) -> None:
    event = happened(answered("a", *numbers), 1)

    found = row(event)

    assert {name: count for name, count in found.items() if name in ("promoters", "passives", "detractors")} == groups
