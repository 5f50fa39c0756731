"""The sentences of the timeline."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from crm_contracts.catalogue import examples
from crm_contracts.envelope import PublicEvent
from crm_contracts.registry import event_type_of
from customer360_service.projections import CUSTOMERS
from customer360_service.projections.timeline import row
from customer360_service.queries.sentences import sentence

USD = {"amount": "29.33", "currency": "USD"}


def purchase(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"system": "cdnow", "order_id": "17", "total": USD, "lines": list(lines)}


@pytest.mark.parametrize(
    ("event_type", "data", "said"),
    [
        ("PurchaseRecorded", purchase({"sku": "cd", "quantity": 2}), "Bought 2 × cd for 29.33 USD at cdnow"),
        ("PurchaseRecorded", purchase(), "Bought order 17 for 29.33 USD at cdnow"),
        (
            "PurchaseRecorded",
            purchase(*({"sku": str(i), "name": f"Áo {i}", "quantity": i} for i in range(1, 6))),
            "Bought 1 × Áo 1, 2 × Áo 2, 3 × Áo 3 and 2 more for 29.33 USD at cdnow",
        ),
        (
            "InteractionLogged",
            {"channel": "in_person", "direction": "inbound", "subject": "Đổi hàng"},
            "In person contact from the customer: Đổi hàng",
        ),
        ("InteractionLogged", {"channel": "email", "direction": "outbound"}, "Email contact to the customer"),
        (
            "CustomerEnteredSegment",
            {"segment_key": "big-spenders", "because": "facts_changed"},
            "Entered segment big-spenders",
        ),
        (
            "CustomerLeftSegment",
            {"segment_key": "lapsed", "because": "segment_retired"},
            "Left segment lapsed, which was retired",
        ),
        (
            "SurveyAnswered",
            {"survey_key": "nps-1998", "answers": [{"question": "q", "kind": "nps", "number": 9}]},
            "Answered survey nps-1998: NPS 9",
        ),
        ("SurveyAnswered", {"survey_key": "nps-1998", "answers": []}, "Answered survey nps-1998"),
        (
            "CustomerDetailsChanged",
            {"changed": ["/profile/name", "/profile/birth_date", "/attributes/vip"], "profile": {"name": "Lan"}},
            "Changed name and cleared birth date, vip",
        ),
        (
            "CustomerIdentified",
            {"source": "pos", "identifiers": [{"type": "email", "value": "a@b.vn"}, {"type": "phone"}]},
            "Identified by pos (email a@b.vn, phone)",
        ),
        (
            "IdentityLinked",
            {"identifier": {"type": "external", "value": "KH-1", "system": "erp"}},
            "Linked erp KH-1",
        ),
        ("PreferencesChanged", {"changed": ["/channels/sms"]}, "Changed preferences: channels sms"),
        ("CustomerTagged", {"tag": "x" * 500}, f"Tagged {'x' * 79}…"),
        ("SomethingNew", {}, "SomethingNew"),
    ],
)
def test_an_event_is_told_in_one_short_sentence(event_type: str, data: dict[str, Any], said: str) -> None:
    assert sentence(event_type, data) == said


def test_every_documented_event_of_a_customer_has_a_sentence(happened: Callable[..., PublicEvent]) -> None:
    for data in examples():
        if event_type_of(type(data)).ce_type in CUSTOMERS.handles:
            found = row(happened(data, 1))

            said = sentence(found["type"], orjson.loads(found["data"]))

            assert said != found["type"]
            assert len(said) < 400
