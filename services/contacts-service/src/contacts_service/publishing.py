"""What contacts says in public: each stored event as a public event, and a customer's state."""

from typing import Any

from contacts_service.domain import Customer, details_as_objects
from crm_contracts.events import contacts as public
from crm_contracts.registry import EventData
from crm_shared.publishing import Publication, StatePublishing


def publish(event: Any) -> Publication | None:
    """The public event for a stored event; None for private events (claims, idempotency keys)."""
    match event:
        case Customer.Created():
            profile, attributes = details_as_objects(event.details)
            return _of_customer(
                event,
                public.CustomerIdentified(
                    customer_id=str(event.originator_id),
                    source=event.source,
                    identifiers=[public.Identifier(**identifier) for identifier in event.identifiers],
                    profile=public.Profile.model_validate(profile),
                    tags=event.tags,
                    attributes=attributes,
                ),
            )
        case Customer.DetailsChanged():
            known = {pointer: value for pointer, value in event.changes.items() if value is not None}
            profile, attributes = details_as_objects(known)
            return _of_customer(
                event,
                public.CustomerDetailsChanged(
                    customer_id=str(event.originator_id),
                    changed=sorted(event.changes),
                    profile=public.Profile.model_validate(profile),
                    attributes=attributes,
                ),
            )
        case Customer.IdentityLinked():
            identifier = public.Identifier(**event.identifier)
            return _of_customer(
                event, public.IdentityLinked(customer_id=str(event.originator_id), identifier=identifier)
            )
        case Customer.Tagged():
            return _of_customer(event, public.CustomerTagged(customer_id=str(event.originator_id), tag=event.tag))
        case Customer.Untagged():
            return _of_customer(event, public.CustomerUntagged(customer_id=str(event.originator_id), tag=event.tag))
        case Customer.PreferencesChanged():
            return _of_customer(
                event,
                public.PreferencesChanged(
                    customer_id=str(event.originator_id),
                    changed=event.changed,
                    preferences=public.Preferences.model_validate(event.preferences),
                ),
            )
    return None


def render_state(customer: Customer) -> Publication:
    """Everything that is known of a customer."""
    profile, attributes = details_as_objects(customer.details)
    customer_id = str(customer.id)
    return Publication(
        customer_id,
        public.CustomerState(
            customer_id=customer_id,
            identifiers=[public.Identifier(**identifier.as_dict()) for identifier in customer.identifiers],
            profile=public.Profile.model_validate(profile),
            tags=sorted(customer.tags),
            attributes=attributes,
            preferences=public.Preferences.model_validate(customer.preferences) if customer.preferences else None,
        ),
    )


STATES = StatePublishing(Customer, render_state)


def _of_customer(event: Any, data: EventData) -> Publication:
    return Publication(str(event.originator_id), data)
