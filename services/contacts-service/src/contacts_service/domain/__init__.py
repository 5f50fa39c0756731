"""Customers and what names them: the rules of contacts."""

from contacts_service.domain.customer import Customer, details_as_objects
from contacts_service.domain.identifiers import Identifier, IdentifierClaim, normalise

__all__ = ["Customer", "Identifier", "IdentifierClaim", "details_as_objects", "normalise"]
