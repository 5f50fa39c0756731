"""The view of segmentation: per customer its facts and memberships, decided anew with every event."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from eventsourcing.persistence import PersistenceError
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_contracts.events import contacts, feedback, interactions
from crm_contracts.registry import event_type_of, events_topic
from crm_shared.application import Command, Outcome, Writer
from crm_shared.domain import CommandContext, StoreUnavailable
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document, Documents, Lookup, WriteConflict
from crm_shared.projections import Failure, advance
from segmentation_service.application import Segmentation
from segmentation_service.conditions import Condition, SegmentIndex, deciding_leaves, evaluate, explain
from segmentation_service.domain import Change, Memberships
from segmentation_service.facts import Facts, fold

P = ParamSpec("P")
R = TypeVar("R")

NAME = "segmentation-service.customers"
CUSTOMERS = "customers"
LOOKUP = "customers_lookup"

HANDLES = frozenset(
    event_type_of(model).ce_type
    for model in (
        contacts.CustomerIdentified,
        contacts.CustomerDetailsChanged,
        contacts.CustomerTagged,
        contacts.CustomerUntagged,
        contacts.PreferencesChanged,
        interactions.InteractionLogged,
        interactions.PurchaseRecorded,
        feedback.SurveyAnswered,
    )
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A segment in use."""

    key: str
    name: str
    version: int
    condition: Condition


def found_by(document: Document) -> Document:
    """What a customer is found by: to be evaluated with its partition, and as a member."""
    return {name: document.get(name) for name in ("partition", "member_of", "memberships")}


class Customers:
    """Folds events into facts, and decides about memberships after each.

    A decision is stored as an event before the customer's document is written. After a crash in between the
    event is folded again, the decision comes out the same, and the aggregate sees that it is made already.
    A document that is new although decisions exist is being rebuilt, and one whose `decisions` (a version of the
    memberships) are not the latest was not written after them: it takes them up, and nothing is decided about its
    customer before its facts are as recent as those behind the latest decision.
    """

    def __init__(
        self, database: AsyncDatabase[Document], kafka: Kafka, application: Segmentation, writer: Writer
    ) -> None:
        self.name = NAME
        self.topics = [events_topic("contacts"), events_topic("interactions"), events_topic("feedback")]
        self.handles = HANDLES
        # A view that decides cannot be built beside the live one; lost documents are folded again in place.
        self.generation = 1
        self.documents = Documents(database, CUSTOMERS, lookup=Lookup(LOOKUP, found_by))
        self._database = database
        self.index = SegmentIndex()
        self.definitions: dict[str, Definition] = {}
        # Segment key -> name and version that it was retired with.
        self.retired: dict[str, tuple[str, int]] = {}
        self.partitions: frozenset[int] = frozenset()
        # Held while documents are read, decided about and written, here and by the evaluation of everybody.
        self.busy = asyncio.Lock()
        self._kafka = kafka
        self._application = application
        self._writer = writer

    async def prepare(self, generation: int) -> None:
        """Create the indexes."""
        await self._database[LOOKUP].create_indexes(
            [IndexModel([("partition", 1), ("_id", 1)]), IndexModel([("member_of", 1), ("_id", 1)])]
        )

    def take_over(self, partitions: frozenset[int]) -> None:
        """Drop what is held in memory, and note which partitions are ours."""
        self.documents.forget_all()
        self.partitions = partitions

    async def work(self) -> None:
        """Nothing beside folding; the evaluation of everybody is wired up by `evaluation.Evaluated`."""

    async def apply(self, events: Sequence[PublicEvent]) -> Mapping[str, Failure]:
        """Fold, decide, store the decisions, write. Raises when a store cannot be reached."""
        async with self.busy:
            while True:
                try:
                    return await self._apply_once(events)
                except WriteConflict:
                    continue

    async def _apply_once(self, events: Sequence[PublicEvent]) -> Mapping[str, Failure]:
        before = await self.load(event.key for event in events)
        working = {key: document or None for key, document in before.items()}
        await self._take_up_decisions(working)
        failures: dict[str, Failure] = {}
        commands: list[Command[Any]] = []
        for event in events:
            if event.key in failures:
                continue
            document = working[event.key]
            try:
                after = advance(document, event, fold_facts)
                if after is document or after is None:
                    continue
                changes = self._changes(document, after)
            except Exception as error:  # whatever it is, it is this event's, and its customer is parked
                failures[event.key] = Failure(event, error)
                continue
            working[event.key] = expected(after, changes)
            if changes:
                commands.append(self._command(event, after["positions"], changes))
        decided = await self.decide(commands)
        await self.documents.write(
            {
                key: {**document, **decided.get(key, {}), "partition": self._kafka.partition_of(key.encode())}
                for key, document in working.items()
                if document is not None and "positions" in document and document is not before[key]
            }
        )
        return failures

    async def load(self, customer_ids: Iterable[str]) -> dict[str, Document | None]:
        """Documents with the latest decisions about their customers. Raises `WriteConflict`."""
        wanted = list(dict.fromkeys(customer_ids))
        unknown = self.documents.not_held(wanted)
        documents = await self.documents.load(wanted)
        versions = {one: found.get("decisions", 0) for one in unknown if (found := documents[one]) is not None}
        if versions:
            try:
                newer = await self.read_log(self._application.memberships_after, versions)
                await self.documents.write(
                    {one: {**(documents[one] or {}), **taken_up(memberships)} for one, memberships in newer.items()}
                )
            except BaseException:
                # What was not compared with the log must not be held as if it had been.
                self.documents.forget(unknown)
                raise
            documents |= await self.documents.load(newer)
        return documents

    async def read_log(self, read: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        """What `read` finds in the event store; raises `StoreUnavailable`."""
        try:
            return await asyncio.to_thread(read, *arguments, **options)
        except PersistenceError as error:
            raise StoreUnavailable(f"the event store cannot be read: {error}") from error

    async def _take_up_decisions(self, working: dict[str, Document | None]) -> None:
        """Give documents that are new the memberships that were decided about their customers before."""
        new = [key for key, document in working.items() if document is None]
        if not new:
            return
        for key, memberships in (await self.read_log(self._application.memberships_of, new)).items():
            working[key] = {"positions": {}, **taken_up(memberships)}

    def _changes(self, before: Document | None, after: Document) -> list[Change]:
        """What the event changes about the customer's memberships."""
        if awaiting(after):
            return []
        if before is not None and awaiting(before):
            return self.differing(after, self.definitions, "facts_changed") + self.leaving(after, self.retired)
        return self.differing(after, self.index.affected(before, after), "facts_changed")

    def differing(self, document: Document, keys: Iterable[str], because: str) -> list[Change]:
        """For those of these segments whose result is not the customer's membership: the change, and why."""
        changes: list[Change] = []
        member_of = document.get("member_of", ())
        for key in sorted(keys):
            definition = self.definitions[key]
            member = evaluate(definition.condition, document)
            if member != (key in member_of):
                values = deciding_leaves(explain(definition.condition, document))
                changes.append(Change(key, definition.name, definition.version, member, because, values))
        return changes

    def leaving(self, document: Document, keys: Iterable[str]) -> list[Change]:
        """For those of these segments that are retired and that the customer is still in: the change."""
        member_of = document.get("member_of", ())
        return [
            Change(key, *self.retired[key], False, "segment_retired", ())
            for key in sorted(keys)
            if key in self.retired and key in member_of
        ]

    def _command(self, event: PublicEvent, positions: dict[str, int], changes: list[Change]) -> Command[Any]:
        context = CommandContext(
            correlation_id=event.correlation_id,
            causation_id=event.id,
            actor="segmentation",
            traceparent=event.traceparent,
            occurred_at=event.occurred_at,
        )
        return self.command(event.key, positions, changes, context)

    def command(
        self, customer_id: str, positions: Mapping[str, int], changes: Sequence[Change], context: CommandContext
    ) -> Command[Any]:
        """The command that stores a decision; it answers the customer id and what its document says then."""

        def decide(unit: Any) -> tuple[str, Facts]:
            memberships = self._application.change_memberships(unit, customer_id, changes, positions)
            return customer_id, shown(memberships)

        return Command(decide, context, (Memberships.create_id(customer_id),))

    async def decide(self, commands: Sequence[Command[Any]]) -> dict[str, Facts]:
        """Store decisions durably; per customer what its document says after the last of them."""
        decided: dict[str, Facts] = {}
        for outcome in await self._writer.run_all(commands):
            if not isinstance(outcome, Outcome):
                raise StoreUnavailable(f"a membership could not be stored: {outcome}") from outcome
            customer_id, memberships = outcome.value
            decided[customer_id] = memberships
        return decided


def fold_facts(document: Document | None, event: PublicEvent) -> Document:
    """The customer's facts after the event, with everything else in the document as it was."""
    return fold(document, event) or {}


def expected(document: Document, changes: Sequence[Change]) -> Document:
    """The document as the next event of the batch should see it: with these changes made."""
    if not changes:
        return document
    member_of = set(document.get("member_of", ()))
    for change in changes:
        (member_of.add if change.member else member_of.discard)(change.segment_key)
    return {**document, "member_of": sorted(member_of)}


def shown(memberships: Memberships) -> Document:
    """What a document says about memberships."""
    return {
        "memberships": dict(memberships.since),
        "member_of": sorted(memberships.since),
        "decisions": memberships.version,
    }


def taken_up(memberships: Memberships) -> Document:
    """The same in a document whose facts may be older."""
    return {**shown(memberships), "awaiting": memberships.decided_at}


def awaiting(document: Document) -> bool:
    """Whether the facts are older than those behind the latest decision about the customer."""
    positions = document["positions"]
    return any(positions.get(source, 0) < position for source, position in document.get("awaiting", {}).items())
