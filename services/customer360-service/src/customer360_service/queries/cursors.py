"""Places in lists sorted by time: the cursors that lead from one page to the next."""

from datetime import UTC, datetime, timedelta
from typing import Any

from crm_shared.domain import InvalidInput
from crm_shared.queries import read_cursor, write_cursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LARGEST = 2**63 - 1


def write_place(moment: datetime, *rest: str | int) -> str:
    """The cursor of an item with this time and these further sort keys."""
    return write_cursor((moment - _EPOCH) // _MILLISECOND, *rest)


def read_place(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The time and the further sort keys in a cursor; raises `InvalidInput` for one that was not given out here."""
    milliseconds, *rest = read_cursor(cursor, int, *kinds)
    try:
        moment = _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        moment = None
    if moment is None or any(type(one) is int and abs(one) > _LARGEST for one in rest):
        raise InvalidInput.at("?cursor", "malformed_cursor", "the cursor is not one that this endpoint gave out")
    return moment, *rest
