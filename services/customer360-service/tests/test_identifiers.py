"""Identifiers in queries: read as contacts normalises them, or refused with what to write instead."""

import pytest

from crm_shared.domain import InvalidInput
from customer360_service.queries.identifiers import has_identifier


@pytest.mark.parametrize(
    ("text", "region", "identifier"),
    [
        ("email: Lan@Example.com ", None, ("email", "lan@example.com", None)),
        ("phone:+84903548333", None, ("phone", "+84903548333", None)),
        ("phone: 84 903 548 333", None, ("phone", "+84903548333", None)),
        ("phone:0903548333", "VN", ("phone", "+84903548333", None)),
        ("phone:(0903) 548-333", "VN", ("phone", "+84903548333", None)),
        ("phone:+84903548333", "GB", ("phone", "+84903548333", None)),
        ("external:webshop:a:b/7", None, ("external", "a:b/7", "webshop")),
        ("loyalty_card:pos: KH 1 ", None, ("loyalty_card", "KH 1", "pos")),
    ],
)
def test_an_identifier_is_looked_for_in_its_one_form(
    text: str, region: str | None, identifier: tuple[str, str, str | None]
) -> None:
    *_, exactly = has_identifier(text, region)

    kind, value, system = identifier
    assert exactly == {"identifiers": {"$elemMatch": {"type": kind, "value": value, "system": system}}}


@pytest.mark.parametrize(
    ("text", "region", "field", "code", "says"),
    [
        (
            "phone:0903548333",
            None,
            "?region",
            "region_missing",
            "phone:%2B84903548333, or name its region, as in region=VN",
        ),
        ("phone:84903548333", None, "?region", "region_missing", "has no country code"),
        ("phone:0903548333", "vn", "?region", "unknown_region", "write VN"),
        ("phone:0903548333", "XX", "?region", "unknown_region", "two capital letters"),
        ("phone:lan", "VN", "?identifier", "malformed_identifier", "'lan' is no phone number"),
        ("phone:+999 1", None, "?identifier", "malformed_identifier", "'+999 1' is no phone number"),
        ("phone:+84903548333 ext 5", None, "?identifier", "malformed_identifier", "write it without"),
        ("email:lan@example.com", "VN", "?region", "region_without_phone", "identifier=phone:"),
        ("lan@example.com", None, "?identifier", "malformed_identifier", "names no type: write email:<address>"),
        ("Email:lan@example.com", None, "?identifier", "malformed_identifier", "names no type"),
        ("email:lan", None, "?identifier", "malformed_identifier", "'lan' is no email address"),
        ("email:", None, "?identifier", "malformed_identifier", "is no email address"),
        (
            "foo:bar",
            None,
            "?identifier",
            "malformed_identifier",
            "<type>:<system>:<value>, such as external:webshop:1234",
        ),
        ("emial:lan@example.com", None, "?identifier", "malformed_identifier", "did you mean email?"),
        ("external:webshop", None, "?identifier", "malformed_identifier", "names no system, or no value in it"),
        ("external::1", None, "?identifier", "malformed_identifier", "names no system"),
        ("external:webshop: ", None, "?identifier", "malformed_identifier", "no value in it"),
    ],
)
def test_what_names_no_identifier_is_refused_with_the_way_out(
    text: str, region: str | None, field: str, code: str, says: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        has_identifier(text, region)

    [error] = refused.value.errors
    assert (error.field, error.code) == (field, code)
    assert says in error.message
