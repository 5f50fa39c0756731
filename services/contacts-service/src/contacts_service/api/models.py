"""Request and response models of contacts."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from contacts_service.application import Sighting
from contacts_service.domain import Identifier, normalise
from crm_shared.domain import FieldError, InvalidInput
from crm_shared.http.fields import (
    AttributeValue,
    Country,
    Day,
    DecimalText,
    ExternalId,
    Name,
    Occurred,
    RequestModel,
    SystemName,
    Visible,
    Word,
    printable,
)
from crm_shared.text import quoted

_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,3}")


def _language(tag: str) -> str:
    if not _LANGUAGE.fullmatch(tag):
        raise PydanticCustomError("language_tag", "write a BCP 47 language tag, for example vi or en-GB")
    return tag


def _birth_date(day: date) -> date:
    if day.year < 1850 or day > date.today():  # noqa: DTZ011  # a birth date has no zone
        raise PydanticCustomError("birth_date", "nobody alive was born on this day")
    return day


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("timezone", "write an IANA time zone, for example Asia/Ho_Chi_Minh")
    return name


def _income(amount: Decimal) -> Decimal:
    if amount < 0:
        raise PydanticCustomError("negative", "an income is 0 or more")
    return amount


def _tag(text: str) -> str:
    if "/" in text or text in (".", ".."):
        way_out = f"write {quoted(text.replace('/', '-'))}" if text.strip("/.") else "write a word"
        message = (
            f"{quoted(text)} cannot be a tag, because a tag is part of an address (/v1/customers/{{id}}/tags/{{tag}}): "
            f"it may hold every printed character but /, and be neither . nor ..; {way_out}"
        )
        raise PydanticCustomError("tag_characters", "{message}", {"message": message})
    return text


Language = Annotated[str, StringConstraints(max_length=35), AfterValidator(_language)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(printable), Visible]
PostalCode = Annotated[str, StringConstraints(min_length=1, max_length=20), AfterValidator(printable), Visible]
Tag = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(printable),
    Visible,
    AfterValidator(_tag),
    Field(json_schema_extra={"pattern": r"^[^/]+$"}),
]
# Which regions there are is the domain's to know: not every country has phone numbers of its own.
Region = Annotated[str, StringConstraints(max_length=100), Field(json_schema_extra={"pattern": "^[A-Z]{2}$"})]
Channel = Literal["email", "phone", "sms", "chat", "web", "app", "social", "mail", "in_person"]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class IdentifierIn(RequestModel):
    """An identifier as a system knows it."""

    type: Word = Field(examples=["email"], description="email, phone, external, or another kind of id in a system")
    value: ExternalId = Field(examples=["lan.nguyen@example.com"])
    system: SystemName | None = Field(None, description="The system that the id belongs to; not for email and phone")
    region: Region | None = Field(None, description="Where a phone number without country code is, for example VN")


class AddressIn(RequestModel):
    """A postal address."""

    line: Name | None = None
    city: ShortText | None = None
    region: ShortText | None = None
    postal_code: PostalCode | None = None
    country: Country | None = None


class ProfileIn(RequestModel):
    """Who the customer is. In a merge patch null clears a field."""

    kind: Literal["person", "organisation"] | None = None
    name: Name | None = Field(None, examples=["Nguyễn Thị Lan"])
    birth_date: Annotated[Day, AfterValidator(_birth_date)] | None = Field(None, description="Of persons only")
    gender: Word | None = None
    language: Language | None = None
    income: Annotated[DecimalText, AfterValidator(_income)] | None = Field(
        None, description="Yearly, as decimal text, 0 or more"
    )
    address: AddressIn | None = None
    industry: ShortText | None = None
    size: Annotated[int, Field(ge=0, le=100_000_000, strict=True)] | None = Field(
        None, description="Number of employees"
    )
    lifecycle_stage: Word | None = Field(None, examples=["prospect"])

    @field_validator("birth_date")
    @classmethod
    def _born(cls, day: date | None, info: ValidationInfo) -> date | None:
        # Also a rule of the domain, which knows the customer; here it is told together with all other errors.
        if day is not None and info.data.get("kind") == "organisation":
            raise PydanticCustomError("birth_date_of_organisation", "an organisation has no birth date: leave it out")
        return day


_ADDRESS_FIELDS = tuple(AddressIn.model_fields)


def _details(profile: ProfileIn | None, attributes: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that a request mentions, by JSON pointer; None for those that it clears."""
    details: dict[str, Any] = {}
    for name in profile.model_fields_set if profile else ():
        value = getattr(profile, name)
        if name == "address":
            parts = value.model_fields_set if value else _ADDRESS_FIELDS
            details |= {f"/profile/address/{part}": getattr(value, part) if value else None for part in parts}
        elif value is None or isinstance(value, str | int):
            details[f"/profile/{name}"] = value
        else:
            details[f"/profile/{name}"] = format(value, "f") if name == "income" else value.isoformat()
    details |= {f"/attributes/{name}": value for name, value in (attributes or {}).items()}
    return details


def _normalised(identifiers: list[IdentifierIn]) -> list[Identifier]:
    normalised: list[Identifier] = []
    errors: list[FieldError] = []
    for index, identifier in enumerate(identifiers):
        try:
            pointer = f"/identifiers/{index}"
            normalised.append(
                normalise(
                    identifier.type,
                    identifier.value,
                    system=identifier.system,
                    region=identifier.region,
                    pointer=pointer,
                )
            )
        except InvalidInput as error:
            errors.extend(error.errors)
    if errors:
        raise InvalidInput(f"{len(errors)} identifier(s) are not valid", errors=errors)
    return list(dict.fromkeys(normalised))


class IdentifyIn(RequestModel):
    """A customer as some system saw it."""

    source: SystemName = Field(examples=["webshop"], description="The system that reports the customer")
    identifiers: Annotated[list[IdentifierIn], Field(min_length=1, max_length=20)]
    profile: ProfileIn | None = None
    tags: Annotated[list[Tag], Field(max_length=50)] = []
    attributes: Annotated[dict[Word, AttributeValue], Field(max_length=100)] = {}
    occurred_at: Occurred | None = None

    def to_sighting(self) -> Sighting:
        """With normalised identifiers; raises `InvalidInput` naming each that is not valid."""
        return Sighting(
            self.source, _normalised(self.identifiers), _details(self.profile, self.attributes), tuple(self.tags)
        )


class PatchIn(RequestModel):
    """A merge patch (RFC 7396) of a customer's details: null clears."""

    profile: ProfileIn | None = None
    attributes: Annotated[dict[Word, AttributeValue | None], Field(max_length=100)] | None = None
    occurred_at: Occurred | None = None

    def to_changes(self) -> dict[str, Any]:
        """The changes by JSON pointer."""
        return _details(self.profile, self.attributes)


class IdentifiersIn(RequestModel):
    """Identifiers to link to a customer."""

    identifiers: Annotated[list[IdentifierIn], Field(min_length=1, max_length=20)]
    occurred_at: Occurred | None = None

    def to_identifiers(self) -> list[Identifier]:
        """Normalised; raises `InvalidInput` naming each that is not valid."""
        return _normalised(self.identifiers)


class QuietHoursIn(RequestModel):
    """When not to contact the customer; an end before the start is on the next day."""

    start: ClockTime = Field(examples=["22:00"])
    end: ClockTime = Field(examples=["07:00"])
    timezone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_timezone)] = Field(
        examples=["Asia/Ho_Chi_Minh"]
    )


class PreferencesIn(RequestModel):
    """How the customer wants to be contacted; replaces what was preferred before."""

    channels: dict[Channel, Annotated[bool, Field(strict=True)]] = {}
    frequency: Literal["daily", "weekly", "monthly", "never"] | None = None
    quiet_hours: QuietHoursIn | None = None
    language: Language | None = None
    occurred_at: Occurred | None = None

    def to_preferences(self) -> dict[str, Any]:
        """The preferences that are given."""
        return self.model_dump(exclude={"occurred_at"}, exclude_none=True)


class IdentifiedOut(BaseModel):
    """Who it was."""

    customer_id: str
    created: bool
    position: int


class ChangedOut(BaseModel):
    """What changed, as JSON pointers."""

    customer_id: str
    changed: list[str]
    position: int


class IdentifierOut(BaseModel):
    """A normalised identifier."""

    type: str
    value: str | None
    system: str | None


class LinkedOut(BaseModel):
    """The identifiers that were new."""

    customer_id: str
    linked: list[IdentifierOut]
    position: int


class TagOut(BaseModel):
    """A tag, and whether the command changed anything."""

    customer_id: str
    tag: str
    changed: bool
    position: int


class CustomerOut(BaseModel):
    """Everything that contacts knows of a customer."""

    customer_id: str
    identifiers: list[IdentifierOut]
    profile: dict[str, Any]
    tags: list[str]
    attributes: dict[str, Any]
    preferences: dict[str, Any] | None
    created_at: str | None
    updated_at: str
    positions: dict[str, int] = Field(description="The last log position applied, per source")
