"""The interaction: a message, call, visit or other contact with a customer, logged once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from uuid import UUID, uuid4

from crm_shared.domain import Aggregate, Conflict, derived_id

Scalar = str | bool | int | float


@dataclass(frozen=True)
class InteractionFacts:
    """What is reported about one interaction; `channel` and `external_id`, if given, identify it."""

    customer_id: str
    channel: str
    direction: str
    occurred_at: datetime
    subject: str | None = None
    body: str | None = None
    agent: str | None = None
    external_id: str | None = None
    attributes: Mapping[str, Scalar] | None = None

    @cached_property
    def id(self) -> UUID:
        """The interaction's id: always the same for one external id on one channel, otherwise random."""
        if self.external_id is None:
            return uuid4()
        return derived_id("interaction", self.channel, self.external_id)


@dataclass(eq=False)
class Interaction(Aggregate):
    """A message, call, visit or other contact with a customer."""

    TOPIC = "interactions.Interaction"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The interaction was logged."""

        TOPIC = "interactions.InteractionLogged.v1"
        customer_id: str
        channel: str
        direction: str
        subject: str | None
        body: str | None
        agent: str | None
        external_id: str | None
        attributes: dict[str, Scalar] | None

    customer_id: str
    channel: str
    direction: str
    occurred_at: datetime
    subject: str | None
    body: str | None
    agent: str | None
    external_id: str | None
    attributes: dict[str, Scalar] | None

    @classmethod
    def log(cls, facts: InteractionFacts) -> Self:
        """An interaction of these facts."""
        return cls._create(cls.Created, id=facts.id, **_state(facts))

    def expect(self, facts: InteractionFacts) -> None:
        """Raise `Conflict` unless these are the facts that were logged."""
        reported = {**_state(facts), "occurred_at": facts.occurred_at}
        differing = sorted(name for name, value in reported.items() if not _same(getattr(self, name), value))
        if differing:
            raise Conflict(
                f"{self.channel} interaction {self.external_id!r} is logged with other content: {', '.join(differing)}",
                code="interaction_conflict",
                interaction_id=str(self.id),
            )


def _state(facts: InteractionFacts) -> dict[str, Any]:
    return {
        "customer_id": facts.customer_id,
        "channel": facts.channel,
        "direction": facts.direction,
        "subject": facts.subject,
        "body": facts.body,
        "agent": facts.agent,
        "external_id": facts.external_id,
        "attributes": dict(facts.attributes) if facts.attributes else None,
    }


def _same(known: Any, reported: Any) -> bool:
    """Equal as JSON has it, where true is not 1."""
    if isinstance(known, dict) and isinstance(reported, dict):
        return known.keys() == reported.keys() and all(_same(known[name], reported[name]) for name in known)
    return isinstance(known, bool) == isinstance(reported, bool) and bool(known == reported)
