"""What a customer is found by: words in which case and diacritics no longer matter; a search finds their beginnings."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from crm_contracts.events.contacts import Identifier
from crm_shared.text import plain

# Index keys stay short; a longer word is found by its beginning.
WORD_LENGTH = 100
# Of a text written without spaces a word begins at every character, and is no longer than this.
PIECE_LENGTH = 8
# A phone is found by so many of its last digits, or more.
FEWEST_LAST_DIGITS = 4
# ITU-T E.164: the codes of countries with one and with two digits; all others have three.
_SHORT_COUNTRY_CODES = re.compile(r"1|7|2[07]|3[0123469]|4[013456789]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
_ASCII_WORDS = re.compile("[a-z0-9]+")
_NOT_DIGITS = re.compile(r"[^0-9]+")
# With or without a zero for the country's code, or with the code: digits that belong together.
_PHONE = re.compile(r"\+?[0-9 ()./-]+")
_OPTIONAL_ZERO = re.compile(r"\(0\)")
_INTERNATIONAL = re.compile(r"00[1-9][0-9]{7}")
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼʻʹ`´′＇"), "'")
# Thai, Lao, Myanmar, Khmer, kana, Han and, for Korean names, Hangul.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
_UNSPACED += "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def query_words(text: str) -> list[str]:
    """What to look for, each at the beginning of a word: one entry per word of the text, plain.

    Apostrophes are nothing ("o'brien" is obrien), other punctuation separates. Of a text written without spaces it is
    the text itself, in pieces. Digits that may be a phone's belong together.
    """
    if _PHONE.fullmatch(text) and len(number := digits(_OPTIONAL_ZERO.sub("", text))) >= FEWEST_LAST_DIGITS:
        return [number[2:] if _INTERNATIONAL.match(number) else number]
    return [piece for run in _runs(_plain(text).replace("'", "")) for piece in _cut(run)]


def whole(value: str) -> str:
    """An identifier as one word, plain."""
    return "".join(plain(value).split())[:WORD_LENGTH]


def digits(text: str) -> str:
    """The ASCII digits of a text."""
    return _NOT_DIGITS.sub("", text)


def search_words(name: str | None, identifiers: Iterable[Identifier]) -> list[str]:
    """All words that lead to a customer, sorted.

    Those of the name; emails whole; external ids whole and their words; phone numbers as their digits, as they are
    written within their country, and by their last digits.
    """
    words = set(_text_words(name or ""))
    for identifier in identifiers:
        if identifier.value is None:
            continue
        if identifier.type == "phone":
            words.update(_phone_words(digits(identifier.value)))
        else:
            words.add(whole(identifier.value))
            if identifier.type != "email":
                words.update(_text_words(identifier.value))
    return sorted(words - {""})


def _text_words(text: str) -> Iterator[str]:
    """The words of a text, and for those with punctuation inside what they are written together: jeanluc, obrien."""
    for token in _plain(text).split():
        runs = _runs(token.replace("'", " "))
        if not token.isalnum():
            without = _runs(token.replace("'", ""))
            runs += without + _runs("".join(without))
        for run in runs:
            yield from _pieces(run) if _IS_UNSPACED.match(run) else (run[:WORD_LENGTH],)


def _phone_words(number: str) -> Iterator[str]:
    short = _SHORT_COUNTRY_CODES.match(number)
    national = number[short.end() if short else 3 :]
    yield number
    yield f"0{national}"
    for start in range(len(national) - FEWEST_LAST_DIGITS + 1):
        yield national[start:]


def _plain(text: str) -> str:
    return plain(text if text.isascii() else text.translate(_APOSTROPHES))


def _runs(letters: str) -> list[str]:
    """The letters, marks and digits of a plain text: parted by all else, and where a script without spaces begins."""
    if letters.isascii():
        return _ASCII_WORDS.findall(letters)
    # Vowels of Thai and other scripts are marks, which regular expressions do not count as parts of a word.
    parted = "".join(character if unicodedata.category(character)[0] in "LMN" else " " for character in letters)
    return [run for word in parted.split() for run in _RUNS.findall(word)]


def _pieces(run: str) -> Iterator[str]:
    """A piece from every character on, so that every part of the run is the beginning of one or two pieces."""
    for start in range(len(run)):
        # A mark belongs to the letter before it.
        if unicodedata.category(run[start])[0] != "M":
            yield run[start : start + PIECE_LENGTH]


def _cut(run: str) -> list[str]:
    """What to look for to find a run: itself, or for a long one without spaces the pieces that make it up."""
    if not _IS_UNSPACED.match(run):
        return [run[:WORD_LENGTH]]
    # Pieces may be shorter in letters than in characters: they overlap, so that none is left out.
    return [run] if len(run) <= PIECE_LENGTH else list(_pieces(run))[:: PIECE_LENGTH // 2]
