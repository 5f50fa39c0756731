"""What contacts knows of a customer: the section `contacts`, and what each of its events makes of it."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.events.contacts import CustomerDetailsChanged, CustomerIdentified, Identifier, Preferences
from crm_contracts.types import Scalar
from customer360_service.projections.search import search_words


class IdentifierDocument(TypedDict):
    """What names the customer in some system, as the contract's `Identifier`, without nulls."""

    type: str
    value: NotRequired[str]
    system: NotRequired[str]


class AddressDocument(TypedDict, total=False):
    """As the contract's `Address`, without nulls."""

    line: str
    city: str
    region: str
    postal_code: str
    country: str


class ProfileDocument(TypedDict, total=False):
    """As the contract's `Profile`, without nulls and empty objects."""

    kind: str
    name: str
    birth_date: str
    gender: str
    language: str
    income: str
    address: AddressDocument
    industry: str
    size: int
    lifecycle_stage: str


class QuietHoursDocument(TypedDict):
    """As the contract's `QuietHours`."""

    start: str
    end: str
    timezone: str


class PreferencesDocument(TypedDict, total=False):
    """As the contract's `Preferences`, without nulls and empty objects."""

    channels: dict[str, bool]
    frequency: str
    quiet_hours: QuietHoursDocument
    language: str


class ContactsSection(TypedDict, total=False):
    """The section `contacts`: what its events have said so far. `search` are the words that lead to the customer."""

    identifiers: list[IdentifierDocument]
    profile: ProfileDocument
    tags: list[str]
    attributes: dict[str, Scalar]
    search: list[str]
    preferences: PreferencesDocument
    first_at: datetime
    """When the earliest of its events happened: every section has it."""


def identified(section: ContactsSection, data: CustomerIdentified) -> ContactsSection:
    """Announced: what was said before is replaced, except for preferences."""
    profile = _profile(data.profile.model_dump())
    after: ContactsSection = {
        "identifiers": [_identifier(identifier) for identifier in data.identifiers],
        "profile": profile,
        "tags": data.tags,
        "attributes": known_values(data.attributes or {}),
        "search": search_words(profile.get("name"), data.identifiers),
    }
    if "preferences" in section:
        after["preferences"] = section["preferences"]
    return after


def details_changed(section: ContactsSection, data: CustomerDetailsChanged) -> ContactsSection:
    """Profile and attributes after what was set and cleared."""
    changed = data.changed
    profile = _profile(apply_changes(section.get("profile", {}), changed, data.profile.model_dump(), "/profile"))
    return {
        **section,
        "profile": profile,
        "attributes": apply_changes(section.get("attributes", {}), changed, data.attributes or {}, "/attributes"),
        "search": search_words(profile.get("name"), _identifiers(section)),
    }


def linked(section: ContactsSection, identifier: Identifier) -> ContactsSection:
    """With a further identifier, last."""
    identifiers = [known for known in _identifiers(section) if known != identifier] + [identifier]
    return {
        **section,
        "identifiers": [_identifier(known) for known in identifiers],
        "search": search_words(section.get("profile", {}).get("name"), identifiers),
    }


def tagged(section: ContactsSection, tag: str) -> ContactsSection:
    """With a tag, last."""
    return {**section, "tags": [*(known for known in section.get("tags", ()) if known != tag), tag]}


def untagged(section: ContactsSection, tag: str) -> ContactsSection:
    """Without a tag."""
    return {**section, "tags": [known for known in section.get("tags", ()) if known != tag]}


def preferring(section: ContactsSection, preferences: Preferences) -> ContactsSection:
    """With these preferences in place of all before."""
    return {**section, "preferences": cast(PreferencesDocument, known_values(preferences.model_dump()))}


def _profile(values: dict[str, Any]) -> ProfileDocument:
    return cast(ProfileDocument, known_values(values))


def _identifier(identifier: Identifier) -> IdentifierDocument:
    return cast(IdentifierDocument, identifier.model_dump(exclude_none=True))


def _identifiers(section: ContactsSection) -> list[Identifier]:
    return [Identifier.model_validate(document) for document in section.get("identifiers", ())]
