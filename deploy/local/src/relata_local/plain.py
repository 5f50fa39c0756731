"""Text from customers, made harmless for a terminal."""


def printable(text: str) -> str:
    """The text with control characters replaced: an escape sequence in a name must not command the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
