"""The purchases that benchmarks record, import, publish and project: alike in shape to the CDNOW history."""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_contracts.envelope import Record, encode
from crm_shared.postgres import EventSourcedApplication
from interactions_service import publishing
from interactions_service.domain import Line, Money, Purchase, PurchaseFacts

BEGIN = datetime(1997, 1, 1, tzinfo=UTC)
_JSON = (
    '{"customer_id":"%s","system":"cdnow","order_id":"%s","occurred_at":"1997-01-18T00:00:00Z",'
    '"total":{"amount":"29.33","currency":"USD"},"lines":[{"sku":"cd","quantity":2}]}'
)
STORED_AT_ONCE = 500


def customer_ids(number: int, seed: int = 1) -> list[str]:
    """So many customer ids, always the same for a seed."""
    draw = random.Random(seed)
    return [str(UUID(int=draw.getrandbits(128), version=4)) for _ in range(number)]


def uniform(customers: Sequence[str], seed: int) -> Callable[[], str]:
    """Draws customers, each as likely as the other."""
    draw = random.Random(seed)
    return lambda: draw.choice(customers)


def skewed(customers: Sequence[str], seed: int) -> Callable[[], str]:
    """Draws customers, in 80 % of the cases one of the first 20."""
    draw = random.Random(seed)
    return lambda: draw.choice(customers[:20] if draw.random() < 0.8 else customers)


def request_body(customer_id: str, order_id: str) -> bytes:
    """The JSON of one purchase for the API."""
    return (_JSON % (customer_id, order_id)).encode()


def events(customers: Iterable[str], prefix: str, first: int = 0) -> list[Any]:
    """A stored event per customer given: one purchase each, a minute after the one before; `first` counts on."""
    found: list[Any] = []
    for number, customer_id in enumerate(customers, first):
        facts = PurchaseFacts(
            customer_id=customer_id,
            system="cdnow",
            order_id=f"{prefix}-{number}",
            occurred_at=BEGIN + timedelta(minutes=number),
            total=Money(Decimal("29.33"), "USD"),
            lines=(Line("cd", 2),),
        )
        found.extend(Purchase.record(facts).collect_events())
    return found


def store(application: EventSourcedApplication, stored: Sequence[Any]) -> int:
    """Put events into the event store; the last one's log position."""
    last = 0
    for start in range(0, len(stored), STORED_AT_ONCE):
        last = application.put(stored[start : start + STORED_AT_ONCE])[-1]
    return last


def records(stored: Iterable[Any], first_position: int = 1) -> list[Record]:
    """The Kafka records of these events, as the relay would send them."""
    found: list[Record] = []
    for position, event in enumerate(stored, first_position):
        publication = publishing.publish(event)
        assert publication is not None
        found.append(encode(event, position, publication.key, publication.data))
    return found
