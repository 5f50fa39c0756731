"""Text as it is compared and searched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_shared.iso import COUNTRIES, CURRENCIES, country_meant, currency_meant
from crm_shared.text import folded, plain, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nguyễn Đức", "nguyen duc"),
        ("Łódź Møller Ħ", "lodz moller h"),
        ("Straße", "strasse"),
        ("ＶＩＰ ℡", "vip tel"),
        ("김민수", "김민수"),
    ],
)
def test_plain_text_has_neither_case_nor_diacritics(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text())
def test_what_is_folded_or_plain_already_stays_as_it_is(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert plain(plain(text)) == plain(text)


def test_a_quotation_is_short_and_safe() -> None:
    assert quoted("a\n" + "b" * 100) == "'a\\n" + "b" * 58 + "…'"


def test_the_lists_are_those_of_iso_with_kosovo_and_currencies_of_recent_years() -> None:
    assert len(COUNTRIES) == 250
    assert {"VN", "GB", "XK"} < COUNTRIES
    assert not {"UK", "EU", "XX", "ZZ", "vn"} & COUNTRIES
    assert {"VND", "USD", "EUR", "DEM", "HRK"} < CURRENCIES
    assert not {"XXX", "XAU", "VNN", "usd"} & CURRENCIES


def test_every_country_is_known_by_its_own_code_in_small_letters() -> None:
    assert {country_meant(code.lower()) for code in COUNTRIES} == COUNTRIES
    assert {currency_meant(code.lower()) for code in CURRENCIES} == CURRENCIES


@pytest.mark.parametrize("text", ["", "$", "¥", "nowhere", "dollars"])
def test_nobody_guesses_what_cannot_be_told(text: str) -> None:
    assert country_meant(text) is None
    assert currency_meant(text) is None
