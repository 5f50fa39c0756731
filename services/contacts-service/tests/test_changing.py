"""Changing what is known of a customer: details, tags and preferences."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from contacts_service.application import (
    ChangeDetails,
    ChangePreferences,
    DetailsChanged,
    IdentifyCustomer,
    PreferencesChanged,
    Sighting,
    TagChanged,
    TagCustomer,
    UntagCustomer,
)
from contacts_service.domain import Customer, Identifier
from crm_shared.application import Command
from crm_shared.testing import given, stored

EMAIL = Identifier("email", "lan@example.com")
QUIET = {"start": "21:30", "end": "07:00", "timezone": "Asia/Ho_Chi_Minh"}


def known(**seen: Any) -> tuple[UUID, list[Any]]:
    """The id of a customer, and the events that made them known."""
    identified = given().when(IdentifyCustomer(Sighting("webshop", [EMAIL], **seen)))
    return UUID(identified.result.customer_id), list(identified.events)


def test_details_are_set_and_cleared_and_only_what_really_changes_is_told() -> None:
    lan, past = known(details={"/profile/name": "Lan", "/profile/address/city": "Huế"})
    changes = {
        "/profile/name": "Lan",
        "/profile/income": "1.50",
        "/profile/gender": None,
        "/profile/address/city": None,
    }

    changed = given(*past).when(ChangeDetails(lan, changes))

    changed.answers(DetailsChanged(str(lan), ("/profile/address/city", "/profile/income"))).then(
        stored(Customer.DetailsChanged, changes={"/profile/income": "1.50", "/profile/address/city": None})
    )


def test_details_that_were_cleared_can_be_cleared_only_once() -> None:
    lan, past = known(details={"/profile/address/city": "Huế"})
    clear = ChangeDetails(lan, {"/profile/address/city": None})

    given(*past, clear).when(clear).answers(DetailsChanged(str(lan), ())).then()


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (1, True), (0, False), ("1", 1)])
def test_attributes_that_differ_in_their_type_only_are_other_values(before: Any, after: Any) -> None:
    lan, past = known(details={"/attributes/a": before})

    changed = given(*past).when(ChangeDetails(lan, {"/attributes/a": after}))

    changed.answers(DetailsChanged(str(lan), ("/attributes/a",)))


def test_what_is_known_of_a_customer_is_bounded() -> None:
    lan, past = known()
    changes = {f"/attributes/a{number}": "ố" * 1000 for number in range(20)}

    given(*past).when(ChangeDetails(lan, changes)).refused("customer_too_large")


def test_a_tag_is_put_on_once() -> None:
    lan, past = known()
    tag = TagCustomer(lan, "vip")

    given(*past).when(tag).answers(TagChanged(str(lan), "vip", True)).then(stored(Customer.Tagged, tag="vip"))
    given(*past, tag).when(tag).answers(TagChanged(str(lan), "vip", False)).then()


def test_a_tag_is_taken_off_if_it_is_on() -> None:
    lan, past = known(tags=["vip", "early"])
    untag = UntagCustomer(lan, "vip")

    given(*past).when(untag).answers(TagChanged(str(lan), "vip", True)).then(stored(Customer.Untagged, tag="vip"))
    given(*past, untag).when(untag).answers(TagChanged(str(lan), "vip", False)).then()


def test_preferences_are_replaced_as_a_whole_and_the_answer_names_what_changed() -> None:
    lan, past = known()
    first = {"channels": {"email": True, "sms": False}, "quiet_hours": QUIET}
    second = {"channels": {"email": True}, "quiet_hours": {**QUIET, "start": "22:00"}, "frequency": "weekly"}

    changed = given(*past, ChangePreferences(lan, first)).when(ChangePreferences(lan, second))

    pointers = ["/channels/sms", "/frequency", "/quiet_hours/start"]
    changed.answers(PreferencesChanged(str(lan), tuple(pointers))).then(
        stored(Customer.PreferencesChanged, changed=pointers, preferences=second)
    )


def test_the_same_preferences_again_store_nothing() -> None:
    lan, past = known()
    prefer = ChangePreferences(lan, {"channels": {}, "language": "vi"})

    given(*past, prefer).when(prefer).answers(PreferencesChanged(str(lan), ())).then()


@pytest.mark.parametrize(
    "command",
    [
        lambda customer_id: ChangeDetails(customer_id, {"/profile/name": "Lan"}),
        lambda customer_id: TagCustomer(customer_id, "vip"),
        lambda customer_id: UntagCustomer(customer_id, "vip"),
        lambda customer_id: ChangePreferences(customer_id, {}),
    ],
)
def test_a_customer_that_does_not_exist_cannot_be_changed(command: Callable[[UUID], Command[Any]]) -> None:
    given().when(command(UUID(int=7))).refused("not_found")
