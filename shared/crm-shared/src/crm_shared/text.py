"""How text is compared: without regard to case and composition, or to diacritics as well; and how it is quoted."""

from unicodedata import combining, normalize

# Letters of their own in Unicode, not a letter with a mark: decomposition does not reach them.
_LETTERS = str.maketrans({"đ": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"})
_QUOTED = 60


def folded(text: str) -> str:
    """Text as it is compared: without case, and the same for composed and decomposed letters (Unicode D145)."""
    if text.isascii():
        return text.lower()
    return normalize("NFC", normalize("NFD", text).casefold())


def plain(text: str) -> str:
    """Folded text without diacritics and other forms of a letter: "Nguyễn Đức" becomes "nguyen duc".

    Syllables of Hangul stay whole: they are composed of letters, not of a letter and its marks.
    """
    if text.isascii():
        return text.lower()
    # A compatible form can hold capitals (℡ is TEL), and a small letter can decompose again.
    decomposed = normalize("NFKD", normalize("NFKD", text).casefold())
    return normalize("NFC", "".join(letter for letter in decomposed if not combining(letter))).translate(_LETTERS)


def quoted(text: str) -> str:
    """Text from a stranger, safe and short enough to repeat in a message."""
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "…")
