"""What a customer is found by: words in which case and diacritics no longer matter."""

import re
import unicodedata
from collections.abc import Iterable

from crm_shared.contracts.contacts import Identifier

# Index keys stay short; a longer word is found by its beginning.
WORD_LENGTH = 100
# A phone number is kept with its country code, and without 1 to 3 leading digits, one of which is without the code.
LONGEST_COUNTRY_CODE = 3
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
    """All words that lead to a customer, sorted: those of the name, and every identifier as one word."""
    found = set(words(name or ""))
    for identifier in identifiers:
        if identifier.value is None:
            continue
        if identifier.type == "phone":
            number = digits(identifier.value)
            found.update(number[start:] for start in range(LONGEST_COUNTRY_CODE + 1))
        else:
            found.add(whole(identifier.value))
    return sorted(found - {""})
