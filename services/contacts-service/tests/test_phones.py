"""Which phone numbers name one customer, and what is said of those that do not."""

import pytest

from contacts_service.domain import normalise
from crm_shared.domain import InvalidInput


def refused(value: str, region: str | None) -> tuple[str, str, str]:
    """(pointer, code, message) of the one thing that is wrong."""
    with pytest.raises(InvalidInput) as raised:
        normalise("phone", value, system=None, region=region, pointer="/identifiers/0")
    [error] = raised.value.errors
    assert repr(value) in error.message or repr(region) in error.message
    return error.field, error.code, error.message


@pytest.mark.parametrize(
    ("value", "region", "expected"),
    [
        ("0903 548 333", "VN", "+84903548333"),
        ("024 3825 5555", "VN", "+842438255555"),
        ("+1 202 555 0123", None, "+12025550123"),
        ("tel:+84-903-548-333", None, "+84903548333"),
    ],
)
def test_mobile_and_landline_numbers_name_a_customer(value: str, region: str | None, expected: str) -> None:
    assert normalise("phone", value, system=None, region=region, pointer="").value == expected


@pytest.mark.parametrize("value", ["+84 24 3825 5555 ext. 12", "024 3825 5555 x12", "024 3825 5555#12"])
def test_a_number_with_an_extension_is_refused_with_the_extension_named(value: str) -> None:
    pointer, code, message = refused(value, "VN")

    assert (pointer, code) == ("/identifiers/0/value", "phone_with_extension")
    assert "the extension 12" in message
    assert "without its extension" in message


@pytest.mark.parametrize(
    ("value", "region"),
    [
        *((value, "VN") for value in ("1900 1234", "1900 545415", "1800 1234", "1800 599920", "113", "115")),
        *(("116117", "DE"), ("+1 800 555 0199", None), ("+800 12345678", None), ("+84 113", None)),
    ],
)
def test_hotlines_and_short_numbers_reach_a_service_and_name_no_customer(value: str, region: str | None) -> None:
    pointer, code, message = refused(value, region)

    assert (pointer, code) == ("/identifiers/0/value", "phone_not_personal")
    assert "names no customer" in message


@pytest.mark.parametrize(
    ("value", "region", "place", "code"),
    [
        ("1080", "VN", "value", "phone_too_short"),
        ("0903 548 33", "VN", "value", "invalid_phone"),
        ("hello", "VN", "value", "invalid_phone"),
        ("+999 1234 5678", None, "value", "invalid_phone"),
        ("0903 548 333", None, "region", "region_missing"),
    ],
)
def test_what_nobody_can_call_is_refused_at_its_place(value: str, region: str | None, place: str, code: str) -> None:
    assert refused(value, region)[:2] == (f"/identifiers/0/{place}", code)


@pytest.mark.parametrize(
    ("region", "way_out"),
    [("vn", "write VN"), ("Vietnam", "write VN"), ("XX", "two capital letters"), ("AQ", "two capital letters")],
)
def test_an_unknown_region_is_refused_at_the_region_with_the_one_that_is_meant(region: str, way_out: str) -> None:
    pointer, code, message = refused("0903 548 333", region)

    assert (pointer, code) == ("/identifiers/0/region", "unknown_region")
    assert way_out in message


@pytest.mark.parametrize("kind", ["email", "external"])
def test_an_unknown_region_is_refused_whatever_it_is_given_with(kind: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        normalise(kind, "lan@example.com", system="pos", region="XX", pointer="/identifiers/0")

    assert [error.field for error in raised.value.errors] == ["/identifiers/0/region"]
