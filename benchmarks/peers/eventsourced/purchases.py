"""The application: purchases as aggregates, stored by the library's own recorder and its own JSON."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from benchmarks.peers.purchase_in import PurchaseIn

# As many as the load has connections.
CONNECTIONS = 32


class Purchase(Aggregate):
    """An order that a customer has paid for."""

    class Recorded(Aggregate.Created):
        """The purchase was recorded."""

        customer_id: UUID
        system: str
        order_id: str
        occurred_at: datetime
        amount: Decimal
        currency: str
        lines: list[dict[str, object]]
        channel: str | None

    @event(Recorded)
    def __init__(
        self,
        customer_id: UUID,
        system: str,
        order_id: str,
        occurred_at: datetime,
        amount: Decimal,
        currency: str,
        lines: list[dict[str, object]],
        channel: str | None,
    ) -> None:
        self.customer_id = customer_id
        self.system = system
        self.order_id = order_id
        self.occurred_at = occurred_at
        self.amount = amount
        self.currency = currency
        self.lines = lines
        self.channel = channel


class Purchases(Application[UUID]):
    """Records purchases."""

    def record(self, facts: PurchaseIn) -> tuple[UUID, int]:
        """Store a purchase; its id and its position in the log."""
        purchase = Purchase(
            customer_id=facts.customer_id,
            system=facts.system,
            order_id=facts.order_id,
            occurred_at=facts.occurred_at,
            amount=facts.total.amount,
            currency=facts.total.currency,
            lines=[line.model_dump(mode="json", exclude_none=True) for line in facts.lines],
            channel=facts.channel,
        )
        recordings = self.save(purchase)
        return purchase.id, recordings[-1].notification.id


def environment(postgres: Mapping[str, str]) -> dict[str, str]:
    """What the library reads, from the variables of PostgreSQL."""
    return {
        **postgres,
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_SCHEMA": "eventsourced",
        "POSTGRES_POOL_SIZE": str(CONNECTIONS),
        "POSTGRES_MAX_OVERFLOW": "0",
    }
