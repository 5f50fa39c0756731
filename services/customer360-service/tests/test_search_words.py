"""Which words lead to a customer."""

import pytest

from crm_contracts.events.contacts import Identifier
from customer360_service.projections.search import search_words, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nguyễn Đức Anh", ["nguyen", "duc", "anh"]),
        ("NGUYỄN", ["nguyen"]),
        ("ĐẶNG THỊ ƯỚC", ["dang", "thi", "uoc"]),
        ("Jean-Pierre O'Brien", ["jean", "pierre", "o", "brien"]),
        ("Straße", ["strasse"]),
        ("Công ty TNHH 3F_x", ["cong", "ty", "tnhh", "3f", "x"]),
        ("李小龍", ["李小龍"]),
        (" .*[(\\ ", []),
        ("a" * 500, ["a" * 100]),
    ],
)
def test_words_have_neither_case_nor_diacritics_nor_punctuation(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_composed_and_decomposed_spellings_are_the_same_word() -> None:
    assert words("Nguye\u0302\u0303n") == words("Nguyễn") == ["nguyen"]


def test_emails_are_whole_external_ids_also_in_parts_and_phones_also_as_written_within_their_country() -> None:
    identifiers = [
        Identifier(type="email", value="Minh.Khai@example.com"),
        Identifier(type="external", value="KH 000/187", system="pos"),
        Identifier(type="phone", value="+84901234567"),
        Identifier(type="email", value=None),
    ]

    assert set(search_words(None, identifiers)) == {
        *("84901234567", "04901234567", "0901234567", "001234567"),
        *("kh000/187", "kh", "000", "187"),
        "minh.khai@example.com",
    }
