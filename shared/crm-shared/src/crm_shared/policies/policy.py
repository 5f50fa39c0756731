"""What a policy is: declared once by its name, what it reads, and what it decides."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_contracts.registry import EventData, event_type_of, service_of
from crm_shared.application.command import Command
from crm_shared.application.writer import Writer
from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import Document
from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.projections.projection import Projection

if TYPE_CHECKING:
    from crm_shared.policies.decided_projection import DecidedProjection


@dataclass(frozen=True)
class Policy:
    """What public events make a service do: each event to commands of its own, in their order.

    `name` is permanent: it is the consumer group and part of the idempotency keys. `decide` is pure. Each command runs
    at most once per event, whatever is redelivered: its key is stored with its events.
    """

    name: str
    events: Sequence[type[EventData]]
    decide: Callable[[PublicEvent], Iterable[Command[Any]]]

    @cached_property
    def topics(self) -> Sequence[str]:
        """The topics to read, in the order of `events`."""
        return list(dict.fromkeys(event_type_of(model).topic for model in self.events))

    @cached_property
    def handles(self) -> frozenset[str]:
        """The CloudEvents types that it decides about; others are skipped unread."""
        return frozenset(event_type_of(model).ce_type for model in self.events)


class Resources(Protocol):
    """What a view's decisions may use of the process that they are made in."""

    @property
    def service(self) -> str:
        """The service's name."""

    @property
    def database(self) -> AsyncDatabase[Document]:
        """Where its views are."""

    @property
    def kafka(self) -> Kafka:
        """Where its events go."""

    @property
    def application(self) -> EventSourcedApplication:
        """Its event store."""

    @property
    def writer(self) -> Writer:
        """What runs its commands."""


class Decisions:
    """The decisions that hang on a view, in one process: by default those of a pure function, and nothing beside."""

    def __init__(
        self, decide: Callable[[Document | None, PublicEvent, Document], Sequence[Command[Any]]] | None = None
    ) -> None:
        self._decide = decide

    def decide(self, before: Document | None, event: PublicEvent, after: Document) -> Sequence[Command[Any]]:
        """The commands that follow from an event, which turned the document `before` into `after`."""
        return self._decide(before, event, after) if self._decide else ()

    async def prepare(self) -> None:
        """Get ready before the first event is decided about."""

    async def recall(self, documents: Mapping[str, Document | None]) -> None:
        """These documents have just been read: learn what was decided about their keys before.

        Raises `StoreUnavailable`.
        """

    def forget(self) -> None:
        """Partitions have changed hands: others may have decided meanwhile."""

    async def work(self, view: "DecidedProjection") -> None:
        """What else there is to do while the view is kept; returns when there is nothing."""


@dataclass(frozen=True)
class ViewPolicy:
    """What the changes of a view make its service do.

    The view's projector decides about each event that it folds, and the commands are durable before the document is
    written. After a crash in between the event is folded and decided about again. `once` stores an idempotency key with
    each command, so that a repeated one has no effect; without it the commands' aggregates must see to that themselves.
    """

    name: str
    view: Projection
    open: Callable[[Resources], Decisions]
    once: bool = True


def own_events(service: str, policy: Policy | ViewPolicy) -> list[str]:
    """The names of the events that a policy reads of its own service, which it may not: it could cause them itself."""
    events = policy.events if isinstance(policy, Policy) else policy.view.events
    return [model.__name__ for model in events if service_of(event_type_of(model).topic) == service]
