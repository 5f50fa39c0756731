"""Field types that the request models of several services share, with their limits."""

import math
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

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

from crm_shared.iso import COUNTRIES, CURRENCIES, country_meant, currency_meant
from crm_shared.text import quoted

LARGEST_INTEGER = 2**53 - 1
_TOMORROW = timedelta(days=1)
# Unicode's category Cc, and the surrogates that are no characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,6})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})(?:[T ].*)?|([0-9]{4})([0-9]{2})([0-9]{2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")
_WHOSE = "give the customer_id that identifying the customer answered with"


class RequestModel(BaseModel):
    """Base of request bodies: an unknown field is an error, so that a misspelt one is not lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def printable(text: str) -> str:
    """The text in Unicode's NFC, if it holds no control characters: one spelling for each Vietnamese name."""
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "the text holds a control character")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def not_blank(text: str) -> str:
    """The text, if it shows anything: blanks, and characters that only format others, do not."""
    # Unicode's categories of separators (Z) and of what is no visible character (C).
    if all(unicodedata.category(character)[0] in "ZC" for character in text):
        raise PydanticCustomError("blank", "the text is blank: leave it out, or write what it is")
    return text


def unknown(code: str, what: str, text: str, meant: str | None, example: str) -> PydanticCustomError:
    """The error for a code that is not in a list: it names the one that is meant, as far as can be told."""
    # As a value, not in the template, where braces have a meaning.
    message = f"{quoted(text)} is not {what}: write {meant or example}"
    return PydanticCustomError(code, "{message}", {"message": message})


def _country(text: str) -> str:
    if text not in COUNTRIES:
        what = "a country code of ISO 3166-1"
        raise unknown("unknown_country", what, text, country_meant(text), "two capital letters, for example VN")
    return text


def _currency(text: str) -> str:
    if text not in CURRENCIES:
        what = "a currency code of ISO 4217"
        raise unknown("unknown_currency", what, text, currency_meant(text), "three capital letters, for example VND")
    return text


def _given(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("customer_id_missing", _WHOSE)
    return value


def _somebody(customer_id: UUID) -> UUID:
    if not customer_id.int:
        raise PydanticCustomError("nil_customer_id", "the nil UUID names nobody: " + _WHOSE)
    return customer_id


def _written(value: Any) -> Any:
    # Pydantic alone also takes seconds since 1970, as a number or as text.
    if not isinstance(value, str) or value[4:5] != "-":
        raise PydanticCustomError("time_text", "write the time as RFC 3339 with its zone: 2026-01-14T09:30:00+07:00")
    return value


def _day(value: Any) -> Any:
    # Pydantic alone also takes seconds since 1970, and times.
    if isinstance(value, str) and _DAY.fullmatch(value):
        if _date_text(*value.split("-")):
            return value
        raise PydanticCustomError("no_such_date", "the calendar has no such day")
    message = "write the date as YYYY-MM-DD, for example 1988-03-08"
    if isinstance(value, str):
        message = f"{quoted(value)} is not a date as YYYY-MM-DD: write {_days_meant(value) or 'it like 1988-03-08'}"
    raise PydanticCustomError("date_text", "{message}", {"message": message})


def _days_meant(text: str) -> str | None:
    """How a date is to be written that somebody wrote in another way; both ways if it has two readings."""
    if match := _YEAR_FIRST.fullmatch(text.strip()):
        return _date_text(*filter(None, match.groups()))
    if match := _YEAR_LAST.fullmatch(text.strip()):
        day_first = _date_text(match[3], match[2], match[1])
        month_first = _date_text(match[3], match[1], match[2])
        if day_first and month_first and day_first != month_first:
            return f"{day_first} if the day comes first, {month_first} if the month does"
        return day_first or month_first
    return None


def _date_text(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


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


# What `printable` and `not_blank` refuse, as far as OpenAPI can say it: surrogates cannot be written in a pattern.
Printable = Field(
    json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"}
)
Visible = AfterValidator(not_blank)
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable), Visible, Printable]
SystemName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""The name of a reporting system, for example `webshop`."""
ExternalId = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable), Visible, Printable
]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A value of an open enumeration, or the name of a custom attribute."""
Occurred = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_plausible)]
"""A time with a zone, from 1900 to a day in the future; in UTC afterwards."""
Day = Annotated[date, BeforeValidator(_day)]
"""A date of the calendar, without a time."""
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
Country = Annotated[str, AfterValidator(_country), Field(json_schema_extra={"enum": sorted(COUNTRIES)})]
"""A code of ISO 3166-1 alpha-2."""
Currency = Annotated[str, AfterValidator(_currency), Field(json_schema_extra={"enum": sorted(CURRENCIES)})]
"""A code of ISO 4217."""
CustomerId = Annotated[UUID, BeforeValidator(_given), AfterValidator(_somebody)]
"""The id of a customer, who need not be known here (yet)."""


class MoneyIn(RequestModel):
    """An amount of money in a request."""

    amount: DecimalText
    currency: Currency
