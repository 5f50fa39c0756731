"""The view of customers: what each public event makes of a customer's document."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contacts_service.projections import CUSTOMERS, fold
from crm_contracts.events.contacts import (
    Address,
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    Identifier,
    IdentityLinked,
    Preferences,
    PreferencesChanged,
    Profile,
)
from crm_contracts.events.interactions import InteractionLogged
from crm_contracts.registry import EventData
from crm_shared.projections import advance
from crm_shared.testing import public_event

LAN = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
MORNING = datetime(2026, 1, 14, 2, 30, tzinfo=UTC)
EVENING = datetime(2026, 1, 14, 12, 0, tzinfo=UTC)
IDENTIFIED = CustomerIdentified(
    customer_id=LAN,
    source="webshop",
    identifiers=[Identifier(type="email", value="lan@example.com")],
    profile=Profile(name="Lan", address=Address(city="Huế", country="VN")),
    tags=["vip"],
    attributes={"tier": "gold", "visits": 3},
)
EMAIL = {"type": "email", "value": "lan@example.com", "system": None}


def view(*payloads: EventData) -> dict[str, Any]:
    """The document after these, the first in the morning and the others in the evening."""
    document = None
    for position, payload in enumerate(payloads, 1):
        event = public_event(payload, position=position, at=MORNING if position == 1 else EVENING)
        document = advance(document, event, fold)
    assert document is not None
    return document


def test_a_new_customer_is_a_document_of_what_is_known() -> None:
    assert view(IDENTIFIED) == {
        "identifiers": [EMAIL],
        "profile": {"name": "Lan", "address": {"city": "Huế", "country": "VN"}},
        "attributes": {"tier": "gold", "visits": 3},
        "tags": ["vip"],
        "preferences": None,
        "created_at": MORNING,
        "updated_at": MORNING,
        "positions": {"contacts": 1},
    }


def test_details_are_set_and_cleared_by_their_pointers() -> None:
    changed = CustomerDetailsChanged(
        customer_id=LAN,
        changed=["/attributes/visits", "/profile/address/city", "/profile/name"],
        profile=Profile(name="Lan Nguyễn"),
        attributes={"visits": 4},
    )

    document = view(IDENTIFIED, changed)

    assert document["profile"] == {"name": "Lan Nguyễn", "address": {"country": "VN"}}
    assert document["attributes"] == {"tier": "gold", "visits": 4}
    assert (document["created_at"], document["updated_at"]) == (MORNING, EVENING)


def test_identifiers_and_tags_keep_the_order_in_which_they_came() -> None:
    document = view(
        IDENTIFIED,
        IdentityLinked(customer_id=LAN, identifier=Identifier(type="external", value="77", system="loyalty")),
        CustomerTagged(customer_id=LAN, tag="early"),
        CustomerTagged(customer_id=LAN, tag="hà nội"),
        CustomerUntagged(customer_id=LAN, tag="early"),
    )

    assert document["identifiers"] == [EMAIL, {"type": "external", "value": "77", "system": "loyalty"}]
    assert document["tags"] == ["vip", "hà nội"]


def test_preferences_are_as_the_event_says_them_nulls_included() -> None:
    said = PreferencesChanged(
        customer_id=LAN, changed=["/channels/sms"], preferences=Preferences(channels={"sms": False})
    )

    assert view(IDENTIFIED, said)["preferences"] == {
        "channels": {"sms": False},
        "frequency": None,
        "quiet_hours": None,
        "language": None,
    }


def test_a_customer_whose_first_event_is_missing_is_shown_without_a_beginning() -> None:
    document = view(CustomerTagged(customer_id=LAN, tag="early"))

    assert (document["tags"], document["identifiers"], document["profile"]) == (["early"], [], {})
    assert (document["created_at"], document["updated_at"]) == (None, MORNING)


def test_an_event_that_it_did_not_ask_for_is_refused() -> None:
    said = InteractionLogged(interaction_id=LAN, customer_id=LAN, channel="phone", direction="inbound")

    with pytest.raises(ValueError, match=r"InteractionLogged\.v1 of interactions"):
        fold(None, public_event(said))


def test_the_view_is_made_of_all_events_of_contacts() -> None:
    assert (CUSTOMERS.name, CUSTOMERS.collection) == ("contacts-service.customers", "customers")
    assert CUSTOMERS.topics == ["crm.contacts.events.v1"]
    assert CUSTOMERS.sources == ["contacts"]
