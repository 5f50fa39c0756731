"""What the stored events of interactions-service say in public."""

from decimal import Decimal
from typing import Any

from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_shared.publishing import Publication
from interactions_service.domain import Interaction, Purchase


def publish(event: Any) -> Publication | None:
    """The public event for a stored event, keyed by its customer; None for private events."""
    match event:
        case Purchase.Created():
            data = {
                "purchase_id": str(event.originator_id),
                "customer_id": event.customer_id,
                "system": event.system,
                "order_id": event.order_id,
                "total": _money(event.amount, event.currency),
                "lines": [_line(line, event.currency) for line in event.lines],
                "channel": event.channel,
            }
            return Publication(event.customer_id, PurchaseRecorded.model_validate(data))
        case Interaction.Created():
            return Publication(
                event.customer_id,
                InteractionLogged(
                    interaction_id=str(event.originator_id),
                    customer_id=event.customer_id,
                    channel=event.channel,
                    direction=event.direction,
                    subject=event.subject,
                    body=event.body,
                    agent=event.agent,
                    external_id=event.external_id,
                    attributes=event.attributes,
                ),
            )
        case _:
            return None


def _line(line: dict[str, Any], currency: str) -> dict[str, Any]:
    price = line.get("unit_price")
    return {
        "sku": line["sku"],
        "name": line.get("name"),
        "category": line.get("category"),
        "quantity": line["quantity"],
        "unit_price": None if price is None else _money(price, currency),
    }


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": currency}
