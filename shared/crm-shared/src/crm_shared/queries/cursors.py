"""Cursors: where the next page of a list begins, opaque to callers."""

import base64
import binascii
from typing import Any

import orjson

from crm_shared.domain.errors import InvalidInput


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
        raise InvalidInput.at("?cursor", "malformed_cursor", "the cursor is not one that this endpoint gave out")
    return values
