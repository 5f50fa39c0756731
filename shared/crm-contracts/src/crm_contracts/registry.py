"""The registry of public events: which exist, in which version, and on which topic they travel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict


class EventData(BaseModel):
    """Base of all payloads. Unknown fields are ignored by readers; personal fields are marked `x-pii`."""

    # Errors end up in logs and beside dead letters, and a payload may hold personal data.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=type[EventData])


@dataclass(frozen=True, slots=True)
class PublicEventType:
    """One public event type in its current minor version."""

    service: str
    name: str
    major: int
    minor: int
    model: type[EventData]
    state: bool

    @property
    def topic(self) -> str:
        """The topic that it travels on."""
        return state_topic(self.service) if self.state else events_topic(self.service)

    @property
    def ce_type(self) -> str:
        """The CloudEvents type, for example `crm.contacts.CustomerIdentified.v1`."""
        return f"crm.{self.service}.{self.name}.v{self.major}"

    @property
    def schema_path(self) -> str:
        """Where every service serves the schema, for example `/schemas/contacts/CustomerIdentified/1.0.json`."""
        return f"/schemas/{self.service}/{self.name}/{self.major}.{self.minor}.json"


_by_model: dict[type[EventData], PublicEventType] = {}


def events_topic(service: str) -> str:
    """The topic with every public event of a service."""
    return f"crm.{service}.events.v1"


def state_topic(service: str) -> str:
    """The compacted topic with the current public state per customer."""
    return f"crm.{service}.state.v1"


def service_of(topic: str) -> str:
    """The service that publishes on a topic."""
    return topic.split(".")[1]


def public_event(service: str, version: str, *, state: bool = False) -> Callable[[M], M]:
    """Register a payload model as a public event of `service` (`version` is "major.minor").

    `state=True` puts it on the service's state topic instead of its event topic.
    """

    def register(model: M) -> M:
        major, minor = (int(part) for part in version.split("."))
        _by_model[model] = PublicEventType(service, model.__name__, major, minor, model, state)
        return model

    return register


def event_type_of(model: type[EventData]) -> PublicEventType:
    """The registered type of a payload model; raises KeyError for others."""
    return _by_model[model]


def registered() -> list[PublicEventType]:
    """The public event types whose modules have been imported so far; `catalogue` imports all of them."""
    return list(_by_model.values())
