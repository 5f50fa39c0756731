"""Cursors: where the next page of a list begins, opaque to callers, and good for that list only."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from crm_shared.domain.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# What a store can compare with: 64 bits.
_LARGEST = 2**63 - 1
_NAMED = re.compile("[0-9a-f]{12}")


def write_cursor(*values: Any, of: Sequence[Any]) -> str:
    """An opaque cursor that stands for these JSON values.

    `of` says which list it continues: the list's name, and everything that decides what is in it and in which order.
    """
    return base64.urlsafe_b64encode(orjson.dumps([_named(of), *values])).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type, of: Sequence[Any]) -> list[Any]:
    """The values in a cursor; `InvalidInput` unless they are of these types, and the cursor of this list."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise _malformed() from None
    if not isinstance(content, list) or not content or not _NAMED.fullmatch(str(content[0])):
        raise _malformed()
    name, *values = content
    if name != _named(of):
        message = (
            "the cursor is of another list, or of this one with other filters: give it with the parameters of the page"
            " that it came with, or leave it out to begin anew"
        )
        raise InvalidInput.at("?cursor", "foreign_cursor", message)
    if [type(value) for value in values] != list(kinds):
        raise _malformed()
    return values


def write_place(moment: datetime, *rest: str | int, of: Sequence[Any]) -> str:
    """The cursor that continues after an item of a list by time: its time to the millisecond, its further sort keys."""
    return write_cursor((moment - _EPOCH) // _MILLISECOND, *rest, of=of)


def read_place(cursor: str, *kinds: type, of: Sequence[Any]) -> tuple[Any, ...]:
    """The time and the further sort keys in a cursor, which are of these types; raises `InvalidInput`."""
    milliseconds, *rest = read_cursor(cursor, int, *kinds, of=of)
    try:
        moment = _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        raise _malformed() from None
    if any(type(sort_key) is int and abs(sort_key) > _LARGEST for sort_key in rest):
        raise _malformed()
    return moment, *rest


def _named(of: Sequence[Any]) -> str:
    """The list in few characters; filters may hold what belongs to a customer, and a cursor goes into logs."""
    return hashlib.blake2b(orjson.dumps(list(of)), digest_size=6).hexdigest()


def _malformed() -> InvalidInput:
    message = "the cursor is not one that this endpoint gave out: give `next_cursor` as it was, or leave it out"
    return InvalidInput.at("?cursor", "malformed_cursor", message)
