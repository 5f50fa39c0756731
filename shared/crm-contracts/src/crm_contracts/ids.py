"""Ids that follow from what they stand for: the same in every installation, whenever they are computed."""

import hashlib
from uuid import NAMESPACE_URL, UUID, uuid5

# Every derived id in Relata descends from this namespace, so that ids never change between installations.
RELATA_NAMESPACE = uuid5(NAMESPACE_URL, "urn:relata")
_NAMESPACE_BYTES = RELATA_NAMESPACE.bytes
# The digit that holds the variant: its upper bits become 10.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def derived_id(*parts: str) -> UUID:
    """The id that always belongs to these parts (RFC 9562 version 5).

    Parts are length-prefixed, so that ("a", "bc") and ("ab", "c") differ.
    """
    # The same as uuid5(RELATA_NAMESPACE, name) in half its time; every command needs one.
    return UUID(bytes=_digest(parts).digest()[:16], version=5)


def derived_id_text(*parts: str) -> str:
    """The same as text, without a UUID in between: every public event needs one."""
    text = _digest(parts).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def _digest(parts: tuple[str, ...]) -> "hashlib._Hash":
    name = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False)
