"""An identifier as a query names it: `email:<address>`, `phone:<number>`, or `<type>:<system>:<value>`."""

import re
from difflib import get_close_matches
from typing import Any

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from crm_shared.domain import InvalidInput
from crm_shared.iso import country_meant
from crm_shared.text import quoted
from customer360_service.projections.search import digits, whole

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TYPES = ("email", "phone", "external")
_FORMS = "email:<address>, phone:<number> or <type>:<system>:<value>, such as external:webshop:1234"


def has_identifier(text: str, region: str | None) -> list[dict[str, Any]]:
    """What a customer's search document must fulfil, to have exactly this identifier.

    `region` is what a phone number without a country's code is read with. Raises `InvalidInput` that says what to write
    instead.
    """
    kind, system, value = _read(text, region)
    # The search index narrows down where to look.
    word = digits(value) if kind == "phone" else whole(value)
    return [{"search": word}, {"identifiers": {"$elemMatch": {"type": kind, "value": value, "system": system}}}]


def _read(text: str, region: str | None) -> tuple[str, str | None, str]:
    """Type, system and value, as contacts normalises them."""
    kind, colon, rest = text.partition(":")
    if region is not None and kind != "phone":
        raise InvalidInput.at("?region", "region_without_phone", "a region helps to read `identifier=phone:...` only")
    if not colon or not _TYPE.fullmatch(kind):
        raise _malformed(f"{quoted(text)} names no type: write {_FORMS}")
    match kind:
        case "email":
            if "@" not in rest.strip()[1:-1]:
                raise _malformed(f"{quoted(rest)} is no email address: write email:lan@example.com")
            return kind, None, rest.strip().lower()
        case "phone":
            return kind, None, _phone(rest, region)
    system, _, value = rest.partition(":")
    if not system.strip() or not whole(value):
        near = get_close_matches(kind, _TYPES, n=1)
        meant = f"did you mean {near[0]}? " if near and near[0] != kind else ""
        raise _malformed(f"{quoted(text)} names no system, or no value in it: {meant}write {_FORMS}")
    return kind, system, value.strip()


def _phone(text: str, region: str | None) -> str:
    # A plus sign that was not escaped in the address has become a blank.
    number = f"+{text[1:]}" if text.startswith(" ") else text
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        meant = country_meant(region)
        way_out = meant if meant in phonenumbers.SUPPORTED_REGIONS else "two capital letters, for example VN"
        message = f"{quoted(region)} is no region that phone numbers belong to: write {way_out}"
        raise InvalidInput.at("?region", "unknown_region", message)
    try:
        read = phonenumbers.parse(number, region)
    except NumberParseException as error:
        unknown_country = error.error_type == NumberParseException.INVALID_COUNTRY_CODE
        if unknown_country and region is None and "+" not in number:
            message = (
                f"{quoted(text)} has no country code: write it with a plus, which in an address is %2B, as in"
                " phone:%2B84903548333, or name its region, as in region=VN"
            )
            raise InvalidInput.at("?region", "region_missing", message) from None
        raise _malformed(f"{quoted(text)} is no phone number: write it as phone:%2B84903548333") from None
    if read.extension:
        raise _malformed(f"{quoted(text)} has an extension, which no customer's number has: write it without")
    return str(phonenumbers.format_number(read, PhoneNumberFormat.E164))


def _malformed(message: str) -> InvalidInput:
    return InvalidInput.at("?identifier", "malformed_identifier", message)
