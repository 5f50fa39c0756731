"""The rules of customers, without any store: tags in one spelling, birth dates of persons only."""

from typing import Any

import pytest

from contacts_service.domain import Customer, Identifier
from crm_shared.domain import InvalidInput

EMAIL = Identifier("email", "lan@example.com")


def customer(*tags: str, **profile: str) -> Customer:
    details = {f"/profile/{name}": value for name, value in profile.items()}
    return Customer.identify(source="webshop", identifiers=[EMAIL], details=details, tags=tags)


def refused(act: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as raised:
        act()
    return [(error.field, error.code) for error in raised.value.errors]


def test_tags_that_differ_in_case_or_composition_only_are_one_tag_in_its_first_spelling() -> None:
    # Given a customer who came with two spellings of one tag
    lan = customer("VIP", "vip", "Khách quén")

    # When further spellings are put on
    added = lan.add_tags(["Vip", "khách que\u0301n", "Sỉ", "SỈ"])

    # Then only the new tag is added
    assert added == ["Sỉ"]
    assert lan.tags == ["VIP", "Khách quén", "Sỉ"]


@pytest.mark.parametrize("spelling", ["VIP", "vip", "Vip"])
def test_a_tag_is_taken_off_in_any_spelling_and_the_event_names_the_one_it_had(spelling: str) -> None:
    lan = customer("VIP", "early")
    lan.collect_events()

    removed = lan.remove_tag(spelling)

    assert removed
    assert lan.tags == ["early"]
    assert [vars(event)["tag"] for event in lan.collect_events()] == ["VIP"]
    assert not lan.remove_tag(spelling)


def test_tags_with_other_diacritics_are_other_tags() -> None:
    assert customer("Sỉ", "si").tags == ["Sỉ", "si"]


def test_an_organisation_cannot_come_with_a_birth_date() -> None:
    assert refused(lambda: customer(kind="organisation", birth_date="1988-03-08")) == [
        ("/profile/birth_date", "birth_date_of_organisation")
    ]


def test_a_known_organisation_takes_no_birth_date_unless_it_becomes_a_person() -> None:
    acme = customer(kind="organisation")

    assert refused(lambda: acme.change_details({"/profile/birth_date": "1988-03-08"})) == [
        ("/profile/birth_date", "birth_date_of_organisation")
    ]
    assert "/profile/birth_date" not in acme.details
    acme.change_details({"/profile/kind": "person", "/profile/birth_date": "1988-03-08"})
    assert acme.details["/profile/birth_date"] == "1988-03-08"


def test_a_person_with_a_birth_date_becomes_an_organisation_only_without_it() -> None:
    lan = customer(kind="person", birth_date="1988-03-08")

    assert refused(lambda: lan.change_details({"/profile/kind": "organisation"})) == [
        ("/profile/kind", "birth_date_of_organisation")
    ]
    lan.change_details({"/profile/kind": "organisation", "/profile/birth_date": None})
    assert lan.details == {"/profile/kind": "organisation"}


def test_whose_kind_is_not_known_may_have_a_birth_date() -> None:
    assert customer(birth_date="1988-03-08").details == {"/profile/birth_date": "1988-03-08"}
