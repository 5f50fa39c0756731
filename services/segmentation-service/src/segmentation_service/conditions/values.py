"""The values of the segment language: what a threshold may look like, and how stored values compare with it."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from crm_shared.text import folded
from segmentation_service.conditions.fields import FieldType
from segmentation_service.facts import stored_time

ValueType = Literal["number", "money", "datetime", "date", "string", "boolean", "set"]

MAX_TEXT = 500
"""Characters in one text value."""

MAX_INTEGER = 2**53 - 1
"""What every JSON reader takes as a whole number."""

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,18})?")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class WrongValue(ValueError):
    """A threshold that is not of its field's type; the message says what is expected."""


def shown(value_type: FieldType, value: Any) -> Any:
    """A stored value as people read it: times without an empty fraction of a second."""
    if value_type == "datetime" and isinstance(value, str):
        return value.replace(".000000Z", "Z")
    return value


def type_of(field_type: FieldType, value: object) -> ValueType:
    """As what a threshold compares: the field's type, or for a scalar field the threshold's own."""
    if field_type != "scalar":
        return field_type
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    raise WrongValue("Expected a number, text, true or false")


def parse_value(value_type: ValueType, value: object) -> tuple[Any, Any]:
    """A threshold as (what is written down, what stored values are compared with); raises WrongValue."""
    return _PARSERS[value_type](value)


def _number(value: object) -> tuple[Any, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongValue("Expected a number")
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > MAX_INTEGER:
        raise WrongValue("Expected a finite number, whole numbers within 2^53")
    return value, value


def _money(value: object) -> tuple[Any, Any]:
    expected = 'Expected an amount as decimal text, for example "100.00"'
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER:
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise WrongValue(expected)
    return value, Decimal(value)


def _datetime(value: object) -> tuple[Any, Any]:
    expected = 'Expected an RFC 3339 time with a zone, for example "2026-01-31T00:00:00Z"'
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise WrongValue(expected)
    try:
        stored = stored_time(datetime.fromisoformat(value.upper()))
    except (ValueError, OverflowError):
        raise WrongValue(expected) from None
    return shown("datetime", stored), stored


def _date(value: object) -> tuple[Any, Any]:
    expected = 'Expected a date, for example "1990-12-31"'
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise WrongValue(expected)
    try:
        date.fromisoformat(value)
    except ValueError:
        raise WrongValue(expected) from None
    return value, value


def _text(value: object) -> tuple[Any, Any]:
    if not isinstance(value, str):
        raise WrongValue("Expected text")
    if len(value) > MAX_TEXT:
        raise WrongValue(f"Expected text of at most {MAX_TEXT} characters")
    if not is_unicode(value):
        raise WrongValue("Expected valid Unicode text")
    return value, folded(value)


def _boolean(value: object) -> tuple[Any, Any]:
    if not isinstance(value, bool):
        raise WrongValue("Expected true or false")
    return value, value


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8: JSON escapes can smuggle half a character in."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_PARSERS: Mapping[ValueType, Callable[[object], tuple[Any, Any]]] = {
    "number": _number,
    "money": _money,
    "datetime": _datetime,
    "date": _date,
    "string": _text,
    "boolean": _boolean,
    "set": _text,
}


# Stored values as they compare. None means that there is nothing to compare: no value, or one of another type.


def _stored_number(raw: Any) -> Any:
    return raw if type(raw) is int or type(raw) is float else None


def _stored_money(raw: Any) -> Any:
    if type(raw) is not str:
        return None
    try:
        amount = Decimal(raw)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _stored_text(raw: Any) -> Any:
    return folded(raw) if type(raw) is str else None


def _stored_sortable_text(raw: Any) -> Any:
    return raw if type(raw) is str else None


def _stored_boolean(raw: Any) -> Any:
    return raw if type(raw) is bool else None


def _stored_set(raw: Any) -> Any:
    return frozenset(map(folded, raw)) if raw else frozenset()


COMPARABLE: Mapping[ValueType, Callable[[Any], Any]] = {
    "number": _stored_number,
    "money": _stored_money,
    "datetime": _stored_sortable_text,
    "date": _stored_sortable_text,
    "string": _stored_text,
    "boolean": _stored_boolean,
    "set": _stored_set,
}
"""Per type: a stored value as what thresholds of that type compare with, or None. A set is never None."""


def is_present(field_type: FieldType, raw: Any) -> bool:
    """What the operator `exists` tells: whether there is a value; for a set, whether it holds anything."""
    if field_type == "set":
        return bool(raw)
    if field_type == "scalar":
        return raw is not None
    return COMPARABLE[field_type](raw) is not None
