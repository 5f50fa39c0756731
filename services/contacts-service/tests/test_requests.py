"""What requests may say of a customer: each value that is refused is named, at its place, with the way out."""

from typing import Any

import pytest
from pydantic import ValidationError

from contacts_service.api.models import IdentifyIn, PatchIn


def wrong(**members: Any) -> list[tuple[str, str, str]]:
    """(pointer, code, message) of everything that is wrong."""
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": "lan@example.com"}], **members}
    with pytest.raises(ValidationError) as raised:
        IdentifyIn.model_validate(body)
    return [
        ("".join(f"/{part}" for part in error["loc"]), error["type"], error["msg"]) for error in raised.value.errors()
    ]


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u200b", " \u2003\u200d "])
@pytest.mark.parametrize("field", ["name", "industry"])
def test_a_blank_text_is_refused(field: str, blank: str) -> None:
    [(pointer, code, _)] = wrong(profile={field: blank})

    assert (pointer, code) == (f"/profile/{field}", "blank")


def test_a_negative_income_is_refused() -> None:
    [(pointer, code, _)] = wrong(profile={"income": "-0.01"})

    assert (pointer, code) == ("/profile/income", "negative")
    assert PatchIn.model_validate({"profile": {"income": "0"}}).to_changes() == {"/profile/income": "0"}


@pytest.mark.parametrize(
    ("country", "meant"),
    [
        ("Vietnam", "VN"),
        ("Việt Nam", "VN"),
        ("vn", "VN"),
        ("UK", "GB"),
        ("Đức", "DE"),
        ("Deutschland", "DE"),
        ("日本", "JP"),
        ("XX", "two capital letters"),
        ("", "two capital letters"),
        ("{braces}", "two capital letters"),
    ],
)
def test_an_unknown_country_is_told_with_the_code_that_is_meant(country: str, meant: str) -> None:
    [(pointer, code, message)] = wrong(profile={"address": {"country": country}})

    assert (pointer, code) == ("/profile/address/country", "unknown_country")
    assert f"{country!r} is not a country code of ISO 3166-1: write {meant}" in message


@pytest.mark.parametrize(
    ("written", "way_out"),
    [
        ("08/03/1988", "write 1988-03-08 if the day comes first, 1988-08-03 if the month does"),
        ("25/03/1988", "write 1988-03-25"),
        ("03/25/1988", "write 1988-03-25"),
        ("8.3.1988", "write 1988-03-08 if"),
        ("05/05/1990", "write 1990-05-05"),
        ("1988/3/8", "write 1988-03-08"),
        ("19880308", "write 1988-03-08"),
        ("1988-03-08T00:00:00Z", "write 1988-03-08"),
        ("31/31/1990", "write it like 1988-03-08"),
        ("yesterday", "write it like 1988-03-08"),
    ],
)
def test_a_date_written_in_another_way_is_refused_with_what_is_expected(written: str, way_out: str) -> None:
    [(pointer, code, message)] = wrong(profile={"birth_date": written})

    assert (pointer, code) == ("/profile/birth_date", "date_text")
    assert message.startswith(f"{written!r} is not a date as YYYY-MM-DD: {way_out}")


@pytest.mark.parametrize(
    ("written", "code"), [(0, "date_text"), ("1988-02-30", "no_such_date"), ("9999-01-01", "birth_date")]
)
def test_what_is_no_birth_date_is_refused(written: Any, code: str) -> None:
    assert [found[:2] for found in wrong(profile={"birth_date": written})] == [("/profile/birth_date", code)]


@pytest.mark.parametrize("members", [{"kind": "organisation"}, {"kind": "organisation", "name": "Acme"}])
def test_an_organisation_with_a_birth_date_is_refused_at_the_birth_date(members: dict[str, str]) -> None:
    [(pointer, code, _)] = wrong(profile={"birth_date": "1988-03-08", **members})

    assert (pointer, code) == ("/profile/birth_date", "birth_date_of_organisation")


def test_a_patch_may_make_an_organisation_of_a_person_by_clearing_the_birth_date() -> None:
    patch = PatchIn.model_validate({"profile": {"kind": "organisation", "birth_date": None}})

    assert patch.to_changes() == {"/profile/kind": "organisation", "/profile/birth_date": None}


@pytest.mark.parametrize(
    ("tag", "way_out"), [("bán buôn/lẻ", "write 'bán buôn-lẻ'"), ("..", "a word"), (".", "a word"), ("/", "a word")]
)
def test_a_tag_that_cannot_stand_in_an_address_is_refused_with_what_it_may_hold(tag: str, way_out: str) -> None:
    [(pointer, code, message)] = wrong(tags=["vip", tag])

    assert (pointer, code) == ("/tags/1", "tag_characters")
    assert f"{tag!r} cannot be a tag" in message
    assert way_out in message
