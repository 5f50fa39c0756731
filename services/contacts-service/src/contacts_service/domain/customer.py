"""The customer: identifiers, details, tags and preferences, and the rules for changing them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from contacts_service.domain.identifiers import Identifier
from crm_shared.domain import Aggregate, InvalidInput
from crm_shared.text import folded

# A customer's whole state travels as one record of at most 64 KiB on the state topic.
LARGEST_CUSTOMER = 40 * 1024
KIND = "/profile/kind"
BIRTH_DATE = "/profile/birth_date"

Details = Mapping[str, Any]
"""What is known of a customer, by JSON pointer: `/profile/name`, `/profile/address/city`, `/attributes/tier`."""


class Customer(Aggregate):
    """A customer. Events hold only what they change; `details` hold only what is known."""

    TOPIC = "contacts.Customer"
    SNAPSHOT_LAYOUT = 1

    class Event(Aggregate.Event):
        """Base of its events."""

        def apply(self, aggregate: "Customer") -> None:
            """Change the customer by this event."""

    class Created(Event, Aggregate.Created):
        """The customer became known by its first identifiers."""

        TOPIC = "contacts.CustomerIdentified.v1"
        source: str
        identifiers: list[dict[str, Any]]
        details: dict[str, Any]
        tags: list[str]

    class IdentityLinked(Event):
        """A further identifier was found to name the customer."""

        TOPIC = "contacts.IdentityLinked.v1"
        identifier: dict[str, Any]

        def apply(self, aggregate: "Customer") -> None:
            aggregate.identifiers.append(Identifier(**self.identifier))

    class DetailsChanged(Event):
        """Details were set, or cleared where the value is None."""

        TOPIC = "contacts.CustomerDetailsChanged.v1"
        changes: dict[str, Any]

        def apply(self, aggregate: "Customer") -> None:
            for pointer, value in self.changes.items():
                if value is None:
                    aggregate.details.pop(pointer, None)
                else:
                    aggregate.details[pointer] = value

    class Tagged(Event):
        """A tag was put on."""

        TOPIC = "contacts.CustomerTagged.v1"
        tag: str

        def apply(self, aggregate: "Customer") -> None:
            aggregate.tags.append(self.tag)

    class Untagged(Event):
        """A tag was taken off."""

        TOPIC = "contacts.CustomerUntagged.v1"
        tag: str

        def apply(self, aggregate: "Customer") -> None:
            aggregate.tags.remove(self.tag)

    class PreferencesChanged(Event):
        """The communication preferences were replaced."""

        TOPIC = "contacts.PreferencesChanged.v1"
        changed: list[str]
        preferences: dict[str, Any]

        def apply(self, aggregate: "Customer") -> None:
            aggregate.preferences = self.preferences

    def __init__(
        self, source: str, identifiers: list[dict[str, Any]], details: dict[str, Any], tags: list[str]
    ) -> None:
        self.source = source
        self.identifiers = [Identifier(**identifier) for identifier in identifiers]
        self.details = dict(details)
        self.tags = list(tags)
        self.preferences: dict[str, Any] | None = None

    def restored(self) -> None:
        """JSON keeps identifiers as objects."""
        self.identifiers = [Identifier(**identifier) for identifier in vars(self)["identifiers"]]

    @classmethod
    def identify(
        cls, *, source: str, identifiers: Sequence[Identifier], details: Details, tags: Sequence[str]
    ) -> "Customer":
        """A new customer; at least one identifier."""
        if not identifiers:
            raise InvalidInput.at("/identifiers", "identifier_missing", "give at least one identifier")
        known = {pointer: value for pointer, value in details.items() if value is not None}
        _require_born_persons(known, changed=known)
        customer = cls._create(
            cls.Created,
            source=source,
            identifiers=[identifier.as_dict() for identifier in identifiers],
            details=known,
            tags=_missing(tags, among=()),
        )
        customer._require_size()
        return customer

    def link(self, identifiers: Sequence[Identifier]) -> list[Identifier]:
        """Add identifiers that the customer does not have yet; returns those that were added."""
        added = [identifier for identifier in dict.fromkeys(identifiers) if identifier not in self.identifiers]
        for identifier in added:
            self.trigger_event(self.IdentityLinked, identifier=identifier.as_dict())
        self._require_size()
        return added

    def change_details(self, changes: Details) -> list[str]:
        """Set details, or clear them where the value is None; the pointers of what really changed, sorted."""
        real = {pointer: value for pointer, value in changes.items() if self._differs(pointer, value)}
        if real:
            _require_born_persons({**self.details, **real}, changed=real)
            self.trigger_event(self.DetailsChanged, changes=real)
            self._require_size()
        return sorted(real)

    def add_tags(self, tags: Sequence[str]) -> list[str]:
        """Add the missing tags; returns those. Spellings of a tag count as one tag, which keeps its first spelling."""
        added = _missing(tags, among=self.tags)
        for tag in added:
            self.trigger_event(self.Tagged, tag=tag)
        self._require_size()
        return added

    def remove_tag(self, tag: str) -> bool:
        """Remove a tag in whatever spelling the customer has it; returns whether it had the tag."""
        removed = [spelling for spelling in self.tags if folded(spelling) == folded(tag)]
        for spelling in removed:
            self.trigger_event(self.Untagged, tag=spelling)
        return bool(removed)

    def prefer(self, preferences: Mapping[str, Any]) -> list[str]:
        """Replace the communication preferences; the pointers of what changed, sorted."""
        before = _flat(self.preferences or {})
        after = _flat(preferences)
        changed = sorted(
            pointer for pointer in before.keys() | after.keys() if before.get(pointer) != after.get(pointer)
        )
        if changed:
            self.trigger_event(self.PreferencesChanged, changed=changed, preferences=dict(preferences))
            self._require_size()
        return changed

    def _differs(self, pointer: str, value: Any) -> bool:
        known = self.details.get(pointer)
        # 1, 1.0 and True are equal in Python and different as attribute values.
        return known != value or type(known) is not type(value)

    def _require_size(self) -> None:
        parts = [[identifier.as_dict() for identifier in self.identifiers], self.details, self.tags, self.preferences]
        if len(orjson.dumps(parts)) > LARGEST_CUSTOMER:
            raise InvalidInput(
                f"all that is known of a customer may take {LARGEST_CUSTOMER} bytes", code="customer_too_large"
            )


def _missing(tags: Sequence[str], *, among: Sequence[str]) -> list[str]:
    """The tags that are not among these, each in its first spelling."""
    known = {folded(tag) for tag in among}
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(folded(tag), tag)
    return [tag for key, tag in first.items() if key not in known]


def _require_born_persons(details: Details, *, changed: Details) -> None:
    """Raise when a change leaves an organisation with a birth date; the error is at what has to be changed instead."""
    if details.get(KIND) != "organisation" or details.get(BIRTH_DATE) is None:
        return
    if BIRTH_DATE in changed:
        message = "the customer is an organisation, which has no birth date: leave it out, or change the kind to person"
        raise InvalidInput.at(BIRTH_DATE, "birth_date_of_organisation", message)
    if KIND in changed:
        message = (
            "an organisation has no birth date, and this customer has one: clear it (null) in a patch with the kind"
        )
        raise InvalidInput.at(KIND, "birth_date_of_organisation", message)


def details_as_objects(details: Details) -> tuple[dict[str, Any], dict[str, Any]]:
    """Details by pointer as the two objects (profile, attributes) that they point into."""
    root: dict[str, Any] = {"profile": {}, "attributes": {}}
    for pointer, value in details.items():
        *path, last = pointer.strip("/").split("/")
        target = root
        for step in path:
            target = target.setdefault(step, {})
        target[last] = value
    return root["profile"], root["attributes"]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}/{name}")
        elif value is not None:
            flat[f"{prefix}/{name}"] = value
    return flat
