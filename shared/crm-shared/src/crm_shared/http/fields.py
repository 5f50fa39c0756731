"""Field types that the request models of several services share, with their limits."""

import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

LARGEST_INTEGER = 2**53 - 1
_TOMORROW = timedelta(days=1)
# Unicode's category Cc, and the surrogates that are no characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,6})?")


class RequestModel(BaseModel):
    """Base of request bodies: an unknown field is an error, so that a misspelt one is not lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def printable(text: str) -> str:
    """The text in Unicode's NFC, if it holds no control characters: one spelling for each Vietnamese name."""
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "the text holds a control character")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _written(value: Any) -> Any:
    # Pydantic alone also takes seconds since 1970, as a number or as text.
    if not isinstance(value, str) or value[4:5] != "-":
        raise PydanticCustomError("time_text", "write the time as RFC 3339 with its zone: 2026-01-14T09:30:00+07:00")
    return value


def _plausible(moment: datetime) -> datetime:
    if moment.year < 1900:
        raise PydanticCustomError("too_long_ago", "the time is before 1900")
    if moment > datetime.now(UTC) + _TOMORROW:
        raise PydanticCustomError("in_the_future", "the time is more than a day in the future")
    return moment.astimezone(UTC)


def _scalar(value: Any) -> Any:
    if type(value) is bool:
        return value
    if type(value) is int and abs(value) <= LARGEST_INTEGER:
        return value
    if type(value) is float and math.isfinite(value) and abs(value) <= LARGEST_INTEGER:
        return value
    if type(value) is str and len(value) <= 1_000:
        return value
    raise PydanticCustomError("not_a_scalar", "use text up to 1,000 characters, a number below 2^53, or a boolean")


def _decimal(value: Any) -> Decimal:
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        message = 'write the number as text, up to 18 digits and 6 after the point, for example "12.30"'
        raise PydanticCustomError("decimal_text", message)
    return Decimal(value)


# What `printable` refuses, as far as OpenAPI can say it: surrogates cannot be written in a pattern.
Printable = Field(json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"})
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable), Printable]
SystemName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""The name of a reporting system, for example `webshop`."""
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable), Printable]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A value of an open enumeration, or the name of a custom attribute."""
Occurred = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_plausible)]
"""A time with a zone, from 1900 to a day in the future; in UTC afterwards."""
AttributeValue = Annotated[
    Any, BeforeValidator(_scalar), Field(json_schema_extra={"type": ["string", "number", "boolean"]})
]
Attributes = Annotated[dict[Word, AttributeValue], Field(max_length=100)]
"""Custom attributes: typed scalars by name."""
DecimalText = Annotated[
    Decimal,
    PlainValidator(_decimal, json_schema_input_type=Annotated[str, Field(pattern=f"^{_DECIMAL.pattern}$")]),
]
"""A decimal number given as text: up to 18 digits before the point and 6 after it."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class MoneyIn(RequestModel):
    """An amount of money in a request."""

    amount: DecimalText
    currency: Currency
