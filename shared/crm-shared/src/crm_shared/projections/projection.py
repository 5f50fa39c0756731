"""What a projection is: declared once by its name, the events that it reads, and its fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn, Protocol

from crm_contracts.envelope import PublicEvent
from crm_contracts.registry import EventData, event_type_of, service_of
from crm_shared.mongo.documents import DOCUMENTS_KEPT, Document, Lookup
from crm_shared.projections.progress_keeper import Note

Fold = Callable[[Document | None, PublicEvent], Document]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows added beside the documents: at most one per event, with the event's id as its own."""

    collection: str
    row: Callable[[PublicEvent], Document | None]


@dataclass(frozen=True)
class Projection:
    """A view: one document per key, folded from public events, and maybe one row per event beside them.

    `name` is permanent: it is the consumer group. Topics, types and sources follow from `events`. `document_id` says
    which document an event belongs to, by default that of its key. `indexes` maps the name of a collection to its
    `IndexModel`s. `kept` is how many documents are held in memory for the next batches. `layout` rises whenever
    the fold makes other documents of the same events: a view of an older layout is folded again first of all.
    `gather_seconds` is for a view that nobody waits for: so long events may gather before the next batch is taken.
    `written_once` is for documents that are made by one event each: they are taken for new, and read only when they
    turn out not to be.
    """

    name: str
    events: Sequence[type[EventData]]
    collection: str
    fold: Fold
    document_id: Callable[[PublicEvent], str] = lambda event: event.key
    rows: Rows | None = None
    lookup: Lookup | None = None
    indexes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    kept: int = DOCUMENTS_KEPT
    layout: int = 1
    gather_seconds: float = 0.0
    written_once: bool = False

    @cached_property
    def topics(self) -> Sequence[str]:
        """The topics to read, in the order of `events`."""
        return list(dict.fromkeys(event_type_of(model).topic for model in self.events))

    @cached_property
    def sources(self) -> Sequence[str]:
        """The services whose events it reads, in the order of `events`."""
        return [service_of(topic) for topic in self.topics]

    @cached_property
    def handles(self) -> frozenset[str]:
        """The CloudEvents types that it applies; others are skipped unread."""
        return frozenset(event_type_of(model).ce_type for model in self.events)

    @property
    def collections(self) -> Sequence[str]:
        """The names of what it writes, in the first generation; the documents come first."""
        beside = (self.rows and self.rows.collection, self.lookup and self.lookup.collection)
        return [self.collection, *(name for name in beside if name)]

    def row_of(self, event: PublicEvent) -> Document | None:
        """The row that the event adds, with the event's id as its own; None if it adds none."""
        row = self.rows.row(event) if self.rows else None
        return None if row is None else {**row, "_id": event.id}


def unexpected(event: PublicEvent) -> NoReturn:
    """What every fold does with an event that its projection did not ask for: its customer is parked, nothing lost."""
    raise ValueError(f"the fold does not know {event.name}.v{event.major} of {event.service}")


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that could not be applied, although the stores work: it is the event or the code."""

    event: PublicEvent
    error: Exception


class Applier(Protocol):
    """What a consumer hands events to."""

    @property
    def name(self) -> str:
        """The permanent name: the consumer group, and the prefix of what it stores about itself."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics to read."""

    @property
    def handles(self) -> frozenset[str]:
        """The CloudEvents types that it applies; others are skipped unread."""

    @property
    def gather_seconds(self) -> float:
        """How long events may gather before the next batch is taken (s); 0 where somebody waits for them."""

    @property
    def generation(self) -> int:
        """The generation of the view that it writes."""

    async def prepare(self, generation: int) -> None:
        """Create the collections and indexes of a generation of the view, and write to it from now on."""

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        """Apply events, each key's in their order; the first failure of each key that has one.

        The failed event and the later ones of its key are left out. `note` says how far these events bring it, and is
        stored with what they change where nothing has failed and that is one command. Raises `Displaced`, and other
        errors when a store cannot be reached.
        """

    def sealed(self) -> None:
        """Everything that was applied so far is durable."""

    def take_over(self, partitions: frozenset[int]) -> None:
        """These are the partitions owned from now on: drop what is held in memory of any other owner's time."""

    async def work(self) -> None:
        """What else there is to do while the projection runs; returns when there is nothing."""


def advance(document: Document | None, event: PublicEvent, fold: Fold) -> Document | None:
    """The document after the event; the same object when it was applied before.

    `positions` holds the last applied log position per source, so duplicates, redeliveries and replays change
    nothing.
    """
    positions = document["positions"] if document else {}
    if event.sequence <= positions.get(event.service, 0):
        return document
    return {**fold(document, event), "positions": {**positions, event.service: event.sequence}}
