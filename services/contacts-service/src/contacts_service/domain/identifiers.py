"""Identifiers: how emails, phones and external ids are normalised, and who holds each of them."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from crm_shared.domain import Aggregate, InvalidInput, derived_id
from crm_shared.iso import country_meant
from crm_shared.text import quoted

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Numbers that lead to a service, whoever dials them.
_SERVICES = {
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a hotline",
    PhoneNumberType.SHARED_COST: "a hotline",
    PhoneNumberType.UAN: "a hotline",
    PhoneNumberType.VOICEMAIL: "a voicemail access number",
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """Something that names one customer: an email, a phone, or an id in some system.

    `value` is normalised; `system` is set for ids that are unique only within a system.
    """

    type: str
    value: str
    system: str | None = None

    @property
    def claim_id(self) -> UUID:
        """The id of the claim aggregate that says whose identifier this is."""
        return derived_id("identifier", self.type, self.system or "", self.value)

    def as_dict(self) -> dict[str, Any]:
        """The form that events store."""
        return {"type": self.type, "value": self.value, "system": self.system}

    def __str__(self) -> str:
        return ":".join(part for part in (self.type, self.system, self.value) if part)


def normalise(kind: str, value: str, *, system: str | None, region: str | None, pointer: str) -> Identifier:
    """The identifier in its one form: two spellings of the same thing become equal.

    Emails are checked after RFC 5321 and 5322 and lower-cased as a whole: in practice no mail system tells
    `Ann@` from `ann@`. Phones become E.164, read with the `region` hint (ISO 3166-1 alpha-2) when they have no
    country code; those that name no single customer are refused: numbers with an extension, hotlines, short numbers.
    Other types belong to a system and are taken as they are, without surrounding blanks.

    Raises `InvalidInput` at `pointer`.
    """
    if region is not None:
        _require_region(region, f"{pointer}/region")
    if not _TYPE.fullmatch(kind):
        raise InvalidInput.at(f"{pointer}/type", "invalid_type", "a type is lower-case letters, digits and _")
    match kind:
        case "email":
            return Identifier(kind, _email(value, f"{pointer}/value"))
        case "phone":
            return Identifier(kind, _phone(value, region, pointer))
        case _:
            if system is None:
                message = f"name the system that this {kind} id belongs to"
                raise InvalidInput.at(f"{pointer}/system", "system_missing", message)
            if not value.strip():
                raise InvalidInput.at(f"{pointer}/value", "empty", "the value is empty")
            return Identifier(kind, value.strip(), system)


def _email(value: str, pointer: str) -> str:
    try:
        # Whether the domain exists is not asked: an import must not depend on the network.
        return validate_email(value.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidInput.at(pointer, "invalid_email", str(error)) from None


def _require_region(region: str, pointer: str) -> None:
    if region not in phonenumbers.SUPPORTED_REGIONS:
        meant = country_meant(region)
        way_out = meant if meant in phonenumbers.SUPPORTED_REGIONS else "two capital letters, for example VN"
        message = f"{quoted(region)} is no region that phone numbers belong to: write {way_out}"
        raise InvalidInput.at(pointer, "unknown_region", message)


def _phone(value: str, region: str | None, pointer: str) -> str:
    try:
        number = phonenumbers.parse(value, region)
    except NumberParseException as error:
        unknown_country = error.error_type == NumberParseException.INVALID_COUNTRY_CODE
        if unknown_country and region is None and "+" not in value:
            message = f"{quoted(value)} has no country code: write it as +84..., or name its region"
            raise InvalidInput.at(f"{pointer}/region", "region_missing", message) from None
        why = "begins with no country's code" if unknown_country else "cannot be read as a phone number"
        message = f"{quoted(value)} {why}: write it as +84..."
        raise InvalidInput.at(f"{pointer}/value", "invalid_phone", message) from None
    _require_one_owner(number, value, f"{pointer}/value")
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def _require_one_owner(number: PhoneNumber, value: str, pointer: str) -> None:
    """An identifier names one customer: raise for a number that many share, and for one that nobody can have."""
    if number.extension:
        # Without it the number would name everybody behind the same switchboard, so it is not left out in silence.
        message = (
            f"{quoted(value)} has the extension {number.extension}, which is behind a line that several people share: "
            "give a direct number, or the number without its extension if the whole line is this customer's"
        )
        raise InvalidInput.at(pointer, "phone_with_extension", message)
    service = _SERVICES.get(phonenumbers.number_type(number))
    if service is None and phonenumbers.is_valid_number(number):
        return
    if service is None and phonenumbers.is_valid_short_number(number):
        service = "a short number"
    if service is not None:
        message = (
            f"{quoted(value)} is {service}, which reaches a service and names no customer: give a number of theirs"
        )
        raise InvalidInput.at(pointer, "phone_not_personal", message)
    if phonenumbers.is_possible_number_with_reason(number) == ValidationResult.TOO_SHORT:
        message = f"{quoted(value)} has too few digits for a number that names a customer: is one missing?"
        raise InvalidInput.at(pointer, "phone_too_short", message)
    raise InvalidInput.at(pointer, "invalid_phone", f"no phone can have the number {quoted(value)}: check its digits")


@dataclass(eq=False)
class IdentifierClaim(Aggregate):
    """Says which customer an identifier names; its id derives from the identifier, so there is one at most."""

    TOPIC = "contacts.IdentifierClaim"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The identifier was claimed for a customer."""

        TOPIC = "contacts.IdentifierClaim.Created.v1"
        customer_id: str

    customer_id: str

    @classmethod
    def claim(cls, identifier: Identifier, customer_id: str) -> "IdentifierClaim":
        """Claim an identifier that nobody holds."""
        return cls._create(cls.Created, id=identifier.claim_id, customer_id=customer_id)
