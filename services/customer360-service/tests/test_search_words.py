"""Which words lead to a customer."""

import unicodedata

import pytest

from crm_contracts.events.contacts import Identifier
from customer360_service.projections.search import query_words, search_words


def named(name: str) -> set[str]:
    return set(search_words(name, []))


def called(number: str) -> set[str]:
    return set(search_words(None, [Identifier(type="phone", value=number)]))


def finds(text: str, words: set[str]) -> bool:
    """What the query does: every wanted word begins a word of the customer."""
    return all(any(word.startswith(wanted) for word in words) for wanted in query_words(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nguyễn Đức Anh", {"nguyen", "duc", "anh"}),
        ("NGUYỄN", {"nguyen"}),
        ("ĐẶNG THỊ ƯỚC", {"dang", "thi", "uoc"}),
        ("Łukasz Møller", {"lukasz", "moller"}),
        ("Jean-Pierre O'Brien", {"jean", "pierre", "jeanpierre", "o", "brien", "obrien"}),
        ("Straße", {"strasse"}),
        ("Công ty TNHH 3F_x", {"cong", "ty", "tnhh", "3f", "x", "3fx"}),
        ("王小明", {"王小明", "小明", "明"}),
        ("ABC株式会社", {"abc", "株式会社", "式会社", "会社", "社"}),
        ("김민수", {"김민수", "민수", "수"}),
        (" .*[(\\ ", set()),
        ("a" * 500, {"a" * 100}),
    ],
)
def test_words_have_neither_case_nor_diacritics_nor_punctuation(text: str, found: set[str]) -> None:
    assert named(text) == found


def test_composed_and_decomposed_spellings_are_the_same_word() -> None:
    assert named("Nguye\u0302\u0303n") == named("Nguyễn") == {"nguyen"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((text, "O'Brien") for text in ("obrien", "o'brien", "O’Brien", "O´BRIEN", "o brien", "brien", "o'br")),
        *((text, "O’Brien") for text in ("obrien", "o'brien")),
        ("o'brien", "OBrien"),
        ("o'brien", "Smith-O'Brien"),
        ("darc", "Jeanne d’Arc"),
        ("d'arc jeanne", "Jeanne d'Arc"),
        *((text, "Jean-Luc Picard") for text in ("jeanluc", "jean-luc", "jean luc", "luc", "picard jeanluc")),
        *((text, "王小明") for text in ("王", "王小", "小明", "明", "王小明")),
        *((text, "たなか・ジョージ") for text in ("ジョージ", "なか", "たなかジョージ")),
        *((text, "สมชาย ใจดี") for text in ("สมชาย", "ชาย", "ใจดี", "ดี")),
        *((text, "김민수") for text in ("민수", "김")),
        *((text, "東京国際貿易商事株式会社大阪支店") for text in ("国際貿易商事株式会社", "大阪", "会社大阪支店")),
    ],
)
def test_a_name_is_found_by_its_parts_however_they_are_written(text: str, name: str) -> None:
    assert finds(text, named(name))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("小王", "王小明"),
        ("rien", "O'Brien"),
        ("기", "김민수"),
        ("国際会社", "東京国際貿易商事株式会社"),
        ("luc jo", "Jean-Luc"),
    ],
)
def test_a_name_is_not_found_by_what_is_not_in_it(text: str, name: str) -> None:
    assert not finds(text, named(name))


@pytest.mark.parametrize("name", ["東京国際貿易商事株式会社大阪支店", "กรุงเทพมหานครอมรรัตนโกสินทร์"])
def test_every_part_of_a_name_written_without_spaces_finds_it_whatever_its_length(name: str) -> None:
    words = named(name)
    letters = [i for i in range(len(name)) if unicodedata.category(name[i])[0] != "M"]

    assert all(finds(name[start:end], words) for start in letters for end in letters if end > start)
    assert max(map(len, words)) == 8


@pytest.mark.parametrize(
    "text",
    [
        *("548333", "548 333", "8333", "903548333", "903 548 333", "0903 548 333", "0903.548.333", "(0903) 548-333"),
        *("+84 903 548 333", "+84 (0)903 548 333", "84903548333", "0084 903 548 333", "0903", "+84 90", "09035"),
    ],
)
def test_a_phone_is_found_by_its_last_digits_and_by_its_beginning_however_they_are_grouped(text: str) -> None:
    assert finds(text, called("+84903548333"))


@pytest.mark.parametrize("text", ["333", "548334", "0548333", "+548333x", "5483330"])
def test_a_phone_is_not_found_by_fewer_than_four_last_digits_or_by_others(text: str) -> None:
    assert not finds(text, called("+84903548333"))


def test_a_phone_needs_few_words_and_the_zero_stands_for_its_countrys_code_alone() -> None:
    assert called("+84903548333") == {
        *("84903548333", "0903548333", "903548333", "03548333", "3548333", "548333", "48333", "8333"),
    }
    assert {"12025550123", "02025550123"} < called("+12025550123")
    assert {"3545812345", "05812345"} < called("+3545812345")
    assert len(called("+4915112345678")) <= 13


def test_emails_are_whole_and_external_ids_also_in_parts_and_together() -> None:
    identifiers = [
        Identifier(type="email", value="Minh.Khai@example.com"),
        Identifier(type="external", value="KH 000/187", system="pos"),
        Identifier(type="email", value=None),
    ]

    found = set(search_words(None, identifiers))

    assert found == {"kh000/187", "kh", "000", "187", "000187", "minh.khai@example.com"}
    assert finds("000/187", found)


def test_numbers_with_punctuation_still_find_external_ids() -> None:
    found = set(search_words(None, [Identifier(type="external", value="2024-0012", system="pos")]))

    assert all(finds(text, found) for text in ("2024-0012", "20240012", "2024", "0012", "2024 0012"))
