"""What a customer is found by: words in which case and diacritics no longer matter."""

import re
import unicodedata
from collections.abc import Iterable

from crm_contracts.events.contacts import Identifier

# Index keys stay short; a longer word is found by its beginning.
WORD_LENGTH = 100
# Within a country, numbers are written with a 0 in place of the country's code, which has 1 to 3 digits.
COUNTRY_CODE_LENGTHS = (1, 2, 3)
_SEPARATORS = re.compile(r"[\W_]+")
_NOT_DIGITS = re.compile(r"[^0-9]+")


def plain(text: str) -> str:
    """The text without case and diacritics: "Nguyễn Đức" becomes "nguyen duc".

    đ is a letter of its own in Unicode, not a d with a mark, so decomposition does not reach it.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).replace("đ", "d")


def words(text: str) -> list[str]:
    """The words of a name or query, plain."""
    return [word[:WORD_LENGTH] for word in _SEPARATORS.split(plain(text)) if word]


def whole(value: str) -> str:
    """An identifier as one word, plain."""
    return "".join(plain(value).split())[:WORD_LENGTH]


def digits(text: str) -> str:
    """The ASCII digits of a text."""
    return _NOT_DIGITS.sub("", text)


def search_words(name: str | None, identifiers: Iterable[Identifier]) -> list[str]:
    """All words that lead to a customer, sorted.

    Those of the name; emails whole; external ids whole and their parts; phone numbers as their digits, and as they
    are written within their country.
    """
    found = set(words(name or ""))
    for identifier in identifiers:
        if identifier.value is None:
            continue
        if identifier.type == "phone":
            number = digits(identifier.value)
            found.update([number, *(f"0{number[length:]}" for length in COUNTRY_CODE_LENGTHS)])
        else:
            found.add(whole(identifier.value))
            if identifier.type != "email":
                found.update(words(identifier.value))
    return sorted(found - {""})
