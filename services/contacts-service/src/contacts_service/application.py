"""What people and systems do with customers: one method per use case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from contacts_service.domain import Customer, Identifier, IdentifierClaim
from crm_shared.application import Unit
from crm_shared.domain import Conflict, InvalidInput
from crm_shared.postgres import EventSourcedApplication


@dataclass(frozen=True, slots=True)
class Sighting:
    """A customer as some system saw it: identifiers, and details by JSON pointer."""

    source: str
    identifiers: Sequence[Identifier]
    details: dict[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()

    @property
    def claim_ids(self) -> tuple[UUID, ...]:
        """The claims that identifying this customer looks at."""
        return tuple(one.claim_id for one in self.identifiers)


@dataclass(frozen=True, slots=True)
class Identified:
    """Who it was, and whether the customer is new."""

    customer_id: str
    created: bool


class Contacts(EventSourcedApplication):
    """The event store of contacts and its use cases. Each runs on the writer's thread."""

    name = "contacts"

    def identify(self, unit: Unit, sighting: Sighting) -> Identified:
        """Find the customer by any identifier and add what is new, or register a new one.

        Raises `Conflict` (identifiers_conflict) when the identifiers name different customers.
        """
        owner = self._owner(unit, sighting.identifiers)
        if owner is None:
            customer = Customer.identify(
                source=sighting.source,
                identifiers=list(dict.fromkeys(sighting.identifiers)),
                details=sighting.details,
                tags=sighting.tags,
            )
            self._save_with_claims(unit, customer, customer.identifiers)
            return Identified(str(customer.id), created=True)
        customer = unit.get(Customer, UUID(owner))
        linked = customer.link(sighting.identifiers)
        customer.change_details({pointer: value for pointer, value in sighting.details.items() if value is not None})
        customer.add_tags(sighting.tags)
        self._save_with_claims(unit, customer, linked)
        return Identified(owner, created=False)

    def owners(self, unit: Unit, sighting: Sighting) -> list[UUID]:
        """The customers that these identifiers name so far."""
        claims = [unit.find(IdentifierClaim, claim_id) for claim_id in sighting.claim_ids]
        return [UUID(claim.customer_id) for claim in claims if claim]

    def add_identifiers(self, unit: Unit, customer_id: UUID, identifiers: Sequence[Identifier]) -> list[Identifier]:
        """Link identifiers to a known customer; those that were new to it.

        Raises `NotFound`, and `Conflict` (identifiers_conflict) when one names somebody else.
        """
        customer = unit.get(Customer, customer_id)
        if not identifiers:
            raise InvalidInput.at("/identifiers", "identifier_missing", "give at least one identifier")
        owner = self._owner(unit, identifiers)
        if owner not in (None, str(customer_id)):
            raise _conflict([str(customer_id), str(owner)], identifiers)
        linked = customer.link(identifiers)
        self._save_with_claims(unit, customer, linked)
        return linked

    def change_details(self, unit: Unit, customer_id: UUID, changes: dict[str, Any]) -> list[str]:
        """Set or clear (None) details; the pointers of what changed."""
        customer = unit.get(Customer, customer_id)
        changed = customer.change_details(changes)
        unit.save(customer)
        return changed

    def tag(self, unit: Unit, customer_id: UUID, tag: str) -> bool:
        """Put a tag on; whether it was missing."""
        customer = unit.get(Customer, customer_id)
        added = customer.add_tags([tag])
        unit.save(customer)
        return bool(added)

    def untag(self, unit: Unit, customer_id: UUID, tag: str) -> bool:
        """Take a tag off; whether it was on."""
        customer = unit.get(Customer, customer_id)
        removed = customer.remove_tag(tag)
        unit.save(customer)
        return removed

    def prefer(self, unit: Unit, customer_id: UUID, preferences: dict[str, Any]) -> list[str]:
        """Replace the communication preferences; the pointers of what changed."""
        customer = unit.get(Customer, customer_id)
        changed = customer.prefer(preferences)
        unit.save(customer)
        return changed

    def _owner(self, unit: Unit, identifiers: Sequence[Identifier]) -> str | None:
        claims = [unit.find(IdentifierClaim, one.claim_id) for one in identifiers]
        owners = list(dict.fromkeys(claim.customer_id for claim in claims if claim))
        if len(owners) > 1:
            raise _conflict(owners, identifiers)
        return owners[0] if owners else None

    def _save_with_claims(self, unit: Unit, customer: Customer, new: Sequence[Identifier]) -> None:
        # The customer goes last: the command answers with the position of its event, which is public.
        for identifier in new:
            unit.save(IdentifierClaim.claim(identifier, str(customer.id)))
        unit.save(customer)


def _conflict(customer_ids: Sequence[str], identifiers: Sequence[Identifier]) -> Conflict:
    return Conflict(
        f"these identifiers name different customers: {' and '.join(customer_ids)}",
        code="identifiers_conflict",
        customer_ids=list(customer_ids),
        identifiers=[str(one) for one in identifiers],
    )
