"""What customers say in public: their events, and their whole state."""

from typing import Any
from uuid import UUID

from contacts_service.application import (
    ChangeDetails,
    ChangePreferences,
    IdentifyCustomer,
    LinkIdentifiers,
    Sighting,
    TagCustomer,
    UntagCustomer,
)
from contacts_service.domain import Customer, Identifier
from contacts_service.publishing import publish, render_state
from crm_contracts.events import contacts as public
from crm_shared.application import Command
from crm_shared.testing import given

EMAIL = Identifier("email", "lan@example.com")
LOYALTY = Identifier("external", "77", "loyalty")
DETAILS = {
    "/profile/name": "Nguyễn Thị Lan",
    "/profile/address/city": "Huế",
    "/profile/size": 3,
    "/attributes/tier": "gold",
    "/attributes/newsletter": True,
}
IDENTIFY = IdentifyCustomer(Sighting("webshop", [EMAIL], DETAILS, ["vip"]))
PREFERENCES = {"channels": {"email": True}, "language": "vi"}


def known() -> tuple[UUID, list[Any]]:
    """The id of a customer, and the events that made them known."""
    identified = given().when(IDENTIFY)
    return UUID(identified.result.customer_id), list(identified.events)


def said_of(events: Any) -> list[Any]:
    return [publication and (publication.key, publication.data) for publication in map(publish, events)]


def after(past: list[Any], command: Command[Any]) -> list[Any]:
    """What the events of a command say in public; None for what is private."""
    return said_of(given(*past).when(command).events)


def test_a_new_customer_is_published_with_everything_known_and_its_claims_are_not() -> None:
    lan, events = known()

    assert said_of(events) == [
        None,
        (
            str(lan),
            public.CustomerIdentified(
                customer_id=str(lan),
                source="webshop",
                identifiers=[public.Identifier(type="email", value="lan@example.com")],
                profile=public.Profile(name="Nguyễn Thị Lan", address=public.Address(city="Huế"), size=3),
                tags=["vip"],
                attributes={"tier": "gold", "newsletter": True},
            ),
        ),
    ]


def test_changed_details_are_published_as_pointers_with_the_values_that_are_left() -> None:
    lan, past = known()
    changes = {"/profile/name": None, "/profile/address/city": "Đà Nẵng", "/attributes/tier": None}

    [(_, said)] = after(past, ChangeDetails(lan, changes))

    assert said == public.CustomerDetailsChanged(
        customer_id=str(lan),
        changed=["/attributes/tier", "/profile/address/city", "/profile/name"],
        profile=public.Profile(address=public.Address(city="Đà Nẵng")),
        attributes={},
    )


def test_a_linked_identifier_a_tag_and_preferences_are_published() -> None:
    lan, past = known()
    customer_id = str(lan)

    assert after(past, LinkIdentifiers(lan, [LOYALTY])) == [
        None,
        (
            customer_id,
            public.IdentityLinked(
                customer_id=customer_id,
                identifier=public.Identifier(type="external", value="77", system="loyalty"),
            ),
        ),
    ]
    assert after(past, TagCustomer(lan, "early")) == [
        (customer_id, public.CustomerTagged(customer_id=customer_id, tag="early"))
    ]
    assert after(past, UntagCustomer(lan, "vip")) == [
        (customer_id, public.CustomerUntagged(customer_id=customer_id, tag="vip"))
    ]
    assert after(past, ChangePreferences(lan, PREFERENCES)) == [
        (
            customer_id,
            public.PreferencesChanged(
                customer_id=customer_id,
                changed=["/channels/email", "/language"],
                preferences=public.Preferences(channels={"email": True}, language="vi"),
            ),
        )
    ]


def test_the_state_of_a_customer_is_all_that_is_known() -> None:
    lan, past = known()
    for command in (LinkIdentifiers(lan, [LOYALTY]), TagCustomer(lan, "early"), ChangePreferences(lan, PREFERENCES)):
        past += given(*past).when(command).events
    customer: Customer | None = None
    for event in past:
        if isinstance(event, Customer.Event):
            customer = event.mutate(customer)
    assert customer is not None

    state = render_state(customer)

    assert state.key == str(lan)
    assert state.data == public.CustomerState(
        customer_id=str(lan),
        identifiers=[
            public.Identifier(type="email", value="lan@example.com"),
            public.Identifier(type="external", value="77", system="loyalty"),
        ],
        profile=public.Profile(name="Nguyễn Thị Lan", address=public.Address(city="Huế"), size=3),
        tags=["early", "vip"],
        attributes={"tier": "gold", "newsletter": True},
        preferences=public.Preferences(channels={"email": True}, language="vi"),
    )
