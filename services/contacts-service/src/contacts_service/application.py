"""The commands of contacts-service: what each reads, decides and answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from contacts_service.domain import Customer, Identifier, IdentifierClaim
from crm_shared.application import Command, Unit
from crm_shared.domain import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class Sighting:
    """A customer as some system saw it: identifiers, and details by JSON pointer."""

    source: str
    identifiers: Sequence[Identifier]
    details: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CustomerIdentified:
    """The customer that was identified; `created` tells whether the customer is new."""

    customer_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class IdentifyCustomer(Command[CustomerIdentified]):
    """Find the customer by any identifier and add what is new, or register a new one.

    Raises `Conflict` (identifiers_conflict) when the identifiers name different customers.
    """

    sighting: Sighting
    occurred_at: datetime | None = None

    @property
    def reads(self) -> Sequence[UUID]:
        return [identifier.claim_id for identifier in self.sighting.identifiers]

    def follows(self, unit: Unit) -> Iterable[UUID]:
        return _owners(unit, self.sighting.identifiers)

    def decide(self, unit: Unit) -> CustomerIdentified:
        seen = self.sighting
        owner = _owner(unit, seen.identifiers)
        if owner is None:
            customer = Customer.identify(
                source=seen.source,
                identifiers=list(dict.fromkeys(seen.identifiers)),
                details=seen.details,
                tags=seen.tags,
            )
            linked: Sequence[Identifier] = customer.identifiers
        else:
            customer = unit.get(Customer, owner)
            linked = customer.link(seen.identifiers)
            customer.change_details({pointer: value for pointer, value in seen.details.items() if value is not None})
            customer.add_tags(seen.tags)
        _save_with_claims(unit, customer, linked)
        return CustomerIdentified(str(customer.id), created=owner is None)


@dataclass(frozen=True, slots=True)
class IdentifiersLinked:
    """The identifiers that were new to the customer."""

    customer_id: str
    linked: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class LinkIdentifiers(Command[IdentifiersLinked]):
    """Link identifiers to a known customer.

    Raises `NotFound`, and `Conflict` (identifiers_conflict) when an identifier names another customer.
    """

    customer_id: UUID
    identifiers: Sequence[Identifier]
    occurred_at: datetime | None = None

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id, *(identifier.claim_id for identifier in self.identifiers))

    def decide(self, unit: Unit) -> IdentifiersLinked:
        customer = unit.get(Customer, self.customer_id)
        if not self.identifiers:
            raise InvalidInput.at("/identifiers", "identifier_missing", "give at least one identifier")
        owner = _owner(unit, self.identifiers)
        if owner not in (None, self.customer_id):
            raise _conflict([str(self.customer_id), str(owner)], self.identifiers)
        linked = customer.link(self.identifiers)
        _save_with_claims(unit, customer, linked)
        return IdentifiersLinked(str(self.customer_id), tuple(linked))


@dataclass(frozen=True, slots=True)
class DetailsChanged:
    """The JSON pointers of the details that really changed, sorted."""

    customer_id: str
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeDetails(Command[DetailsChanged]):
    """Set details by JSON pointer, or clear them where the value is None. Raises `NotFound`."""

    customer_id: UUID
    changes: Mapping[str, Any]
    occurred_at: datetime | None = None

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id,)

    def decide(self, unit: Unit) -> DetailsChanged:
        customer = unit.get(Customer, self.customer_id)
        changed = customer.change_details(self.changes)
        unit.save(customer)
        return DetailsChanged(str(self.customer_id), tuple(changed))


@dataclass(frozen=True, slots=True)
class TagChanged:
    """Whether the tag had to be put on, or taken off."""

    customer_id: str
    tag: str
    changed: bool


@dataclass(frozen=True, slots=True)
class TagCustomer(Command[TagChanged]):
    """Put a tag on. Raises `NotFound`."""

    customer_id: UUID
    tag: str

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id,)

    def decide(self, unit: Unit) -> TagChanged:
        customer = unit.get(Customer, self.customer_id)
        added = customer.add_tags([self.tag])
        unit.save(customer)
        return TagChanged(str(self.customer_id), self.tag, bool(added))


@dataclass(frozen=True, slots=True)
class UntagCustomer(Command[TagChanged]):
    """Take a tag off. Raises `NotFound`."""

    customer_id: UUID
    tag: str

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id,)

    def decide(self, unit: Unit) -> TagChanged:
        customer = unit.get(Customer, self.customer_id)
        removed = customer.remove_tag(self.tag)
        unit.save(customer)
        return TagChanged(str(self.customer_id), self.tag, removed)


@dataclass(frozen=True, slots=True)
class PreferencesChanged:
    """The JSON pointers of the communication preferences that changed, sorted."""

    customer_id: str
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangePreferences(Command[PreferencesChanged]):
    """Replace all communication preferences. Raises `NotFound`."""

    customer_id: UUID
    preferences: Mapping[str, Any]
    occurred_at: datetime | None = None

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id,)

    def decide(self, unit: Unit) -> PreferencesChanged:
        customer = unit.get(Customer, self.customer_id)
        changed = customer.prefer(self.preferences)
        unit.save(customer)
        return PreferencesChanged(str(self.customer_id), tuple(changed))


def _owners(unit: Unit, identifiers: Sequence[Identifier]) -> list[UUID]:
    """The customers that these identifiers name so far, each once."""
    claims = [unit.find(IdentifierClaim, identifier.claim_id) for identifier in identifiers]
    return list(dict.fromkeys(UUID(claim.customer_id) for claim in claims if claim))


def _owner(unit: Unit, identifiers: Sequence[Identifier]) -> UUID | None:
    owners = _owners(unit, identifiers)
    if len(owners) > 1:
        raise _conflict([str(owner) for owner in owners], identifiers)
    return owners[0] if owners else None


def _save_with_claims(unit: Unit, customer: Customer, new: Sequence[Identifier]) -> None:
    # The customer goes last: the command answers with the position of its event, which is public.
    for identifier in new:
        unit.save(IdentifierClaim.claim(identifier, str(customer.id)))
    unit.save(customer)


def _conflict(customer_ids: Sequence[str], identifiers: Sequence[Identifier]) -> Conflict:
    return Conflict(
        f"these identifiers name different customers: {' and '.join(customer_ids)}",
        code="identifiers_conflict",
        customer_ids=list(customer_ids),
        identifiers=[str(identifier) for identifier in identifiers],
    )
