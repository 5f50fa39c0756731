"""The commands of interactions-service: what each reads, decides and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from crm_shared.application import Command, Unit
from interactions_service.domain import Interaction, InteractionFacts, Purchase, PurchaseFacts


@dataclass(frozen=True, slots=True)
class PurchaseRecorded:
    """The purchase is on record; `created` tells whether it is new."""

    purchase_id: str
    customer_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class RecordPurchase(Command[PurchaseRecorded]):
    """Record a purchase, once per system and order.

    Raises `Conflict` (purchase_conflict) when the order is recorded with other content. A purchase that is recorded
    already is not checked again: rules that came later do not refuse a retry.
    """

    facts: PurchaseFacts

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.facts.id,)

    @property
    def occurred_at(self) -> datetime:
        return self.facts.occurred_at

    def decide(self, unit: Unit) -> PurchaseRecorded:
        recorded = unit.find(Purchase, self.facts.id)
        if recorded is None:
            unit.save(Purchase.record(self.facts))
        else:
            recorded.expect(self.facts)
        return PurchaseRecorded(str(self.facts.id), self.facts.customer_id, created=recorded is None)


@dataclass(frozen=True, slots=True)
class InteractionLogged:
    """The interaction is on record; `created` tells whether it is new."""

    interaction_id: str
    customer_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class LogInteraction(Command[InteractionLogged]):
    """Log an interaction; with an external id, only once per channel and external id.

    Raises `Conflict` (interaction_conflict) when its external id is logged with other content.
    """

    facts: InteractionFacts

    @property
    def reads(self) -> Sequence[UUID]:
        # Only an interaction with an external id can be there already.
        return () if self.facts.external_id is None else (self.facts.id,)

    @property
    def occurred_at(self) -> datetime:
        return self.facts.occurred_at

    def decide(self, unit: Unit) -> InteractionLogged:
        logged = None if self.facts.external_id is None else unit.find(Interaction, self.facts.id)
        if logged is None:
            unit.save(Interaction.log(self.facts))
        else:
            logged.expect(self.facts)
        return InteractionLogged(str(self.facts.id), self.facts.customer_id, created=logged is None)
