"""The policy of memberships: every change of a customer's facts decides which segments they enter and leave."""

from collections.abc import Mapping, Sequence

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo import Document
from crm_shared.policies import DecidedProjection, Decisions, Resources, ViewPolicy
from segmentation_service.application import ChangeMemberships
from segmentation_service.domain import Memberships, is_behind
from segmentation_service.policies.decided import DecidedMemberships
from segmentation_service.policies.deciding import changes_by_event, command_of, departures, differences
from segmentation_service.policies.definitions import Definitions, DefinitionsView
from segmentation_service.policies.evaluation import Evaluation
from segmentation_service.projections import FACTS


class MembershipDecisions(Decisions):
    """Decides about memberships in one process, by the definitions that it holds.

    An event decides about a segment when the facts before and after it give different results. So a decision that was
    stored before a crash comes out the same when its event is folded again, and the aggregate takes it for made. That
    would go wrong where a definition, or the order of events from two sources, is another by then. Hence facts older
    than those behind a customer's latest decision decide nothing; once as recent, they decide about all segments.
    """

    def __init__(self, resources: Resources) -> None:
        super().__init__()
        self.definitions = Definitions()
        self._view = DefinitionsView(resources)
        self._decided = DecidedMemberships(resources.application)
        self._evaluation = Evaluation(resources, self.definitions, self._view, self._decided)
        # What was decided about customers whose facts, as they were read last, are older.
        self._ahead: dict[str, Memberships] = {}

    async def prepare(self) -> None:
        """Know all definitions before the first event is decided about."""
        await self._view.prepare(self.definitions)

    async def recall(self, documents: Mapping[str, Document | None]) -> None:
        """Note whose facts are older than the decisions about them."""
        for customer_id in documents:
            self._ahead.pop(customer_id, None)
        decided = await self._decided.last_positions(documents)
        ahead = [
            customer_id
            for customer_id, positions in decided.items()
            if is_behind(_positions(documents[customer_id]), positions)
        ]
        if ahead:
            self._ahead |= await self._decided.of(ahead)

    def forget(self) -> None:
        self._ahead.clear()
        self._evaluation.forget()

    def decide(self, before: Document | None, event: PublicEvent, after: Document) -> Sequence[ChangeMemberships]:
        memberships = self._ahead.get(event.key)
        if memberships is None or not memberships.knows_later_than(_positions(before)):
            changes = changes_by_event(self.definitions, before, after)
        elif memberships.knows_later_than(after["positions"]):
            changes = []
        else:
            reasons = dict.fromkeys(self.definitions.in_use, "facts_changed")
            changes = differences(self.definitions, after, memberships, reasons)
            changes += departures(self.definitions, memberships)
        return [command_of(event.key, changes, after, None, event.occurred_at)] if changes else []

    async def work(self, view: DecidedProjection) -> None:
        """Evaluate everybody whenever a definition changes."""
        await self._evaluation.work(view)


def _positions(document: Document | None) -> Mapping[str, int]:
    positions: Mapping[str, int] = document["positions"] if document else {}
    return positions


MEMBERSHIPS = ViewPolicy(
    name="segmentation-service.memberships",
    view=FACTS,
    open=MembershipDecisions,
    # An aggregate takes a decision that is made already for made: a key would be one more stored event for each.
    once=False,
)
