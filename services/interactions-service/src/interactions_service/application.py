"""The use cases of interactions-service, each on the writer's thread: look, decide, save."""

from crm_shared.application import Unit
from crm_shared.postgres import EventSourcedApplication
from interactions_service.domain import Interaction, InteractionFacts, Purchase, PurchaseFacts


class Interactions(EventSourcedApplication):
    """Records what was said and bought."""

    name = "interactions"

    def record_purchase(self, unit: Unit, facts: PurchaseFacts) -> bool:
        """Whether the purchase is new; raises `Conflict` when the order is recorded with other content.

        A purchase that is recorded already is not checked again: rules that came later do not refuse a retry.
        """
        recorded = unit.find(Purchase, facts.id)
        if recorded is None:
            unit.save(Purchase.record(facts))
            return True
        recorded.expect(facts)
        return False

    def log_interaction(self, unit: Unit, facts: InteractionFacts) -> bool:
        """Whether the interaction is new; raises `Conflict` when its external id is logged with other content."""
        logged = None if facts.external_id is None else unit.find(Interaction, facts.id)
        if logged is None:
            unit.save(Interaction.log(facts))
            return True
        logged.expect(facts)
        return False
