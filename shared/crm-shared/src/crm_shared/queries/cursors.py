"""Cursors: where the next page of a list begins, opaque to callers."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from crm_shared.domain.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# What a store can compare with: 64 bits.
_LARGEST = 2**63 - 1


def write_cursor(*values: Any) -> str:
    """An opaque cursor that stands for these JSON values."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> list[Any]:
    """The values in a cursor; `InvalidInput` unless they are of these types."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise _malformed()
    return values


def write_place(moment: datetime, *rest: str | int) -> str:
    """The cursor that continues after an item of a list by time: its time to the millisecond, its further sort keys."""
    return write_cursor((moment - _EPOCH) // _MILLISECOND, *rest)


def read_place(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The time and the further sort keys in a cursor, which are of these types; raises `InvalidInput`."""
    milliseconds, *rest = read_cursor(cursor, int, *kinds)
    try:
        moment = _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        raise _malformed() from None
    if any(type(one) is int and abs(one) > _LARGEST for one in rest):
        raise _malformed()
    return moment, *rest


def _malformed() -> InvalidInput:
    return InvalidInput.at("?cursor", "malformed_cursor", "the cursor is not one that this endpoint gave out")
