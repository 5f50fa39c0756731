"""How public events become what segments know of a customer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from crm_contracts.envelope import PublicEvent
from segmentation_service.facts import Facts
from segmentation_service.projections.facts import fold

NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)
PROFILE_FIELDS = ("kind", "name", "birth_date", "gender", "language", "income", "address", "industry", "size")


# What the fold does not look at, and events have.
ELSE: dict[str, dict[str, Any]] = {
    "InteractionLogged": {"interaction_id": "i"},
    "SurveyAnswered": {"survey_version": 1},
}


def public_event(source: str, name: str, data: dict[str, Any], occurred_at: datetime, sequence: int) -> PublicEvent:
    """A public event whose envelope says nothing of interest beside these."""
    customer = "5a8d1a5e-6f7a-4c1e-9d0c-0c6a5f1b2e3d"
    return PublicEvent(
        id=f"{source}-{sequence}",
        service=source,
        name=name,
        major=1,
        key=customer,
        subject=customer,
        occurred_at=occurred_at,
        recorded_at=occurred_at,
        sequence=sequence,
        stream_version=sequence,
        correlation_id="",
        causation_id="",
        actor="",
        traceparent="",
        data={"customer_id": customer, **ELSE.get(name, {}), **data},
    )


@dataclass
class Log:
    """Events of one source in log order."""

    source: str
    events: list[PublicEvent] = field(default_factory=list)

    def add(self, name: str, occurred_at: datetime = NEW_YEAR, **data: Any) -> "Log":
        self.events.append(public_event(self.source, name, data, occurred_at, len(self.events) + 1))
        return self


def folded(*events: PublicEvent) -> Facts:
    document: Facts | None = None
    for event in events:
        document = fold(document, event)
    assert document is not None
    return document


def identified(**profile: Any) -> Log:
    return Log("contacts").add(
        "CustomerIdentified",
        source="shop",
        identifiers=[{"type": "email", "value": "lan@example.vn", "system": None}],
        profile=dict.fromkeys(PROFILE_FIELDS) | profile,
        tags=["vip", "early"],
        attributes={"tier": "gold", "points": 5},
    )


def purchase(amount: str, currency: str = "USD") -> dict[str, Any]:
    total = {"amount": amount, "currency": currency}
    return {"purchase_id": "p", "system": "shop", "order_id": "1", "total": total, "lines": [], "channel": None}


def answer(question: str, kind: str, value: int | str | None) -> dict[str, Any]:
    member = {"choice": "choice", "text": "text"}.get(kind, "number")
    return {"question": question, "kind": kind, "number": None, "choice": None, "text": None} | {member: value}


def answered(*answers: dict[str, Any], survey_key: str = "welcome") -> dict[str, Any]:
    return {"response_id": "r", "survey_id": "s", "survey_key": survey_key, "channel": None, "answers": [*answers]}


def test_an_identified_customer_has_the_profile_tags_and_attributes_and_no_nulls() -> None:
    log = identified(name="Lan", income="1200.50", address={"line": None, "city": "Huế", "country": "VN"})

    facts = folded(*log.events)

    assert facts["contacts"] == {
        "identified": True,
        "profile": {"name": "Lan", "income": "1200.50", "address": {"city": "Huế", "country": "VN"}},
        "tags": ["early", "vip"],
        "attributes": {"tier": "gold", "points": 5},
    }


def test_changed_details_set_and_clear_only_what_the_event_names() -> None:
    log = identified(name="Lan", gender="female", address={"city": "Huế", "country": "VN"})
    log.add(
        "CustomerDetailsChanged",
        changed=["/profile/name", "/profile/gender", "/profile/address/city", "/attributes/tier", "/attributes/new"],
        profile={"name": "Lan Anh", "gender": None, "address": {"city": "Đà Nẵng", "country": None}},
        attributes={"new": True},
    )

    facts = folded(*log.events)

    assert facts["contacts"]["profile"] == {"name": "Lan Anh", "address": {"city": "Đà Nẵng", "country": "VN"}}
    assert facts["contacts"]["attributes"] == {"points": 5, "new": True}


def test_a_whole_address_can_be_replaced_and_cleared() -> None:
    log = identified()
    log.add("CustomerDetailsChanged", changed=["/profile/address"], profile={"address": {"city": "Huế"}})
    with_address = folded(*log.events)
    log.add("CustomerDetailsChanged", changed=["/profile/address"], profile={"address": None})

    without = folded(*log.events)

    assert with_address["contacts"]["profile"] == {"address": {"city": "Huế"}}
    assert without["contacts"]["profile"] == {}


def test_a_change_of_something_unheard_of_is_passed_over() -> None:
    log = identified(name="Lan")
    log.add("CustomerDetailsChanged", changed=["/consents/email"], profile={}, attributes={}, consents={"email": True})

    assert folded(*log.events) == folded(*log.events[:1])


def test_tags_come_and_go_and_stay_sorted() -> None:
    log = identified().add("CustomerTagged", tag="new").add("CustomerTagged", tag="new")
    log.add("CustomerUntagged", tag="vip").add("CustomerUntagged", tag="never")

    assert folded(*log.events)["contacts"]["tags"] == ["early", "new"]


def test_preferences_are_replaced_whole() -> None:
    log = identified()
    log.add(
        "PreferencesChanged", changed=["/channels"], preferences={"channels": {"email": True}, "frequency": "daily"}
    )
    log.add("PreferencesChanged", changed=["/channels"], preferences={"channels": {"sms": False}, "frequency": None})

    assert folded(*log.events)["contacts"]["preferences"] == {"channels": {"sms": False}}


def test_interactions_are_counted_by_channel_with_the_earliest_and_latest_time() -> None:
    log = Log("interactions")
    log.add("InteractionLogged", NEW_YEAR + timedelta(days=2), channel="email", direction="inbound", attributes={})
    log.add("InteractionLogged", NEW_YEAR, channel="email", direction="outbound", attributes={})
    log.add("InteractionLogged", NEW_YEAR + timedelta(days=1), channel="phone", direction="inbound", attributes={})

    facts = folded(*log.events)

    assert facts["interactions"]["logged"] == {
        "count": 3,
        "first_at": "1997-01-01T00:00:00.000000Z",
        "last_at": "1997-01-03T00:00:00.000000Z",
        "by_channel": {
            "email": {"count": 2, "last_at": "1997-01-03T00:00:00.000000Z"},
            "phone": {"count": 1, "last_at": "1997-01-02T00:00:00.000000Z"},
        },
    }


def test_purchases_add_up_exactly_in_each_currency() -> None:
    log = Log("interactions")
    for amount in ["0.1"] * 3 + ["0.20"]:
        log.add("PurchaseRecorded", **purchase(amount))
    log.add("PurchaseRecorded", datetime(1996, 1, 1, tzinfo=UTC), **purchase("1000000", "VND"))

    facts = folded(*log.events)

    assert facts["interactions"]["purchases"] == {
        "count": 5,
        "first_at": "1996-01-01T00:00:00.000000Z",
        "last_at": "1997-01-01T00:00:00.000000Z",
        "by_currency": {
            "USD": {"count": 4, "revenue": "0.50", "average": "0.125"},
            "VND": {"count": 1, "revenue": "1000000", "average": "1000000"},
        },
    }


def test_an_average_that_never_ends_is_rounded_to_four_decimals() -> None:
    log = Log("interactions")
    for amount in ("10", "10", "0"):
        log.add("PurchaseRecorded", **purchase(amount))

    assert folded(*log.events)["interactions"]["purchases"]["by_currency"]["USD"]["average"] == "6.6667"


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "ten"])
def test_what_is_not_an_amount_is_not_folded(amount: str) -> None:
    log = Log("interactions").add("PurchaseRecorded", **purchase(amount))

    with pytest.raises(ValueError, match="amount"):
        folded(*log.events)


def test_the_last_answer_is_the_one_given_last_then_the_one_stored_last() -> None:
    log = Log("feedback")
    log.add("SurveyAnswered", NEW_YEAR + timedelta(days=1), **answered(answer("likely", "nps", 9)))
    log.add("SurveyAnswered", NEW_YEAR, **answered(answer("likely", "nps", 2), answer("why", "text", "Trễ")))
    given_last = folded(*log.events)
    log.add("SurveyAnswered", NEW_YEAR + timedelta(days=1), **answered(answer("likely", "nps", 7)))

    stored_last = folded(*log.events)

    assert given_last["feedback"]["nps"]["value"] == 9
    assert given_last["feedback"]["answers"]["welcome"]["why"]["value"] == "Trễ"
    assert stored_last["feedback"]["nps"] == {"value": 7, "at": "1997-01-02T00:00:00.000000Z", "sequence": 3}
    assert stored_last["feedback"]["answers"]["welcome"]["likely"]["value"] == 7
    assert stored_last["feedback"]["count"] == 3
    assert stored_last["feedback"]["last_at"] == "1997-01-02T00:00:00.000000Z"


def test_a_question_left_open_keeps_the_answer_before() -> None:
    log = Log("feedback")
    log.add("SurveyAnswered", **answered(answer("colour", "choice", "red")))
    log.add("SurveyAnswered", **answered(answer("colour", "choice", None)))

    assert folded(*log.events)["feedback"]["answers"]["welcome"]["colour"]["value"] == "red"


def test_times_are_stored_in_utc_with_one_width() -> None:
    hanoi = timezone(timedelta(hours=7))
    log = Log("interactions").add("PurchaseRecorded", datetime(1997, 1, 1, 6, 30, tzinfo=hanoi), **purchase("1"))

    assert folded(*log.events)["interactions"]["purchases"]["first_at"] == "1996-12-31T23:30:00.000000Z"


def test_an_event_that_was_not_asked_for_is_not_folded() -> None:
    linked = {"identifier": {"type": "email", "value": "lan@example.vn"}}

    with pytest.raises(ValueError, match="IdentityLinked"):
        fold(None, public_event("contacts", "IdentityLinked", linked, NEW_YEAR, 2))


def test_folding_leaves_the_facts_before_as_they_were_and_shares_the_rest() -> None:
    before = {**folded(*identified().events), "positions": {"contacts": 1}}
    copy = {**before, "contacts": dict(before["contacts"])}

    after = fold(before, public_event("contacts", "CustomerTagged", {"tag": "new"}, NEW_YEAR, 2))

    assert before == copy
    assert after["contacts"]["profile"] is before["contacts"]["profile"]
    assert after["interactions"] is before["interactions"]
    assert after["positions"] == {"contacts": 1}
