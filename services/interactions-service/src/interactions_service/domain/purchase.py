"""The purchase: an order that a customer has paid for, recorded once, and what its facts must hold."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Self
from uuid import UUID

from crm_shared.domain import Aggregate, Conflict, InvalidInput, derived_id
from crm_shared.money import EXACT


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217 code)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order. `unit_price` is the price of one piece; below zero for a discount."""

    sku: str
    quantity: int
    name: str | None = None
    category: str | None = None
    unit_price: Money | None = None


@dataclass(frozen=True)
class PurchaseFacts:
    """What is reported about one purchase; `system` and `order_id` identify it."""

    customer_id: str
    system: str
    order_id: str
    occurred_at: datetime
    total: Money
    lines: tuple[Line, ...] = ()
    channel: str | None = None

    @cached_property
    def id(self) -> UUID:
        """The purchase's id, always the same for one order of one system."""
        return derived_id("purchase", self.system, self.order_id)

    def check(self) -> None:
        """Raise `InvalidInput` unless the facts hold together.

        If every line is priced, they add up to the total exactly. If only some are, those may not exceed it: a
        line without a price is taken to cost nothing or more.
        """
        if self.total.amount < 0:
            raise InvalidInput.at("/total/amount", "negative_amount", "a purchase costs nothing or more")
        added, all_priced = self._added_up()
        if added is None:
            return
        if added != self.total.amount if all_priced else added > self.total.amount:
            lines = "the lines" if all_priced else "the priced lines alone"
            raise InvalidInput.at(
                "/lines",
                "lines_do_not_add_up",
                f"{lines} add up to {added:f} {self.total.currency}, the total is {self.total.amount:f}",
            )

    def _added_up(self) -> tuple[Decimal | None, bool]:
        """The sum of the priced lines, None without any; and whether every line is priced."""
        added: Decimal | None = None
        all_priced = True
        for index, line in enumerate(self.lines):
            if line.unit_price is None:
                all_priced = False
                continue
            if line.unit_price.currency != self.total.currency:
                raise InvalidInput.at(
                    f"/lines/{index}/unit_price/currency",
                    "currency_mismatch",
                    f"the line is in {line.unit_price.currency}, the total in {self.total.currency}",
                )
            added = EXACT.fma(Decimal(line.quantity), line.unit_price.amount, added or Decimal(0))
        return added, all_priced


@dataclass(eq=False)
class Purchase(Aggregate):
    """An order that a customer has paid for."""

    TOPIC = "interactions.Purchase"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The purchase was recorded. Every `unit_price` is in the `currency` of the total."""

        TOPIC = "interactions.PurchaseRecorded.v1"
        customer_id: str
        system: str
        order_id: str
        amount: Decimal
        currency: str
        lines: list[dict[str, Any]]
        channel: str | None

    customer_id: str
    system: str
    order_id: str
    occurred_at: datetime
    amount: Decimal
    currency: str
    lines: list[dict[str, Any]]
    channel: str | None

    @classmethod
    def record(cls, facts: PurchaseFacts) -> Self:
        """A purchase of these facts; raises `InvalidInput` when they do not hold together."""
        facts.check()
        return cls._create(cls.Created, id=facts.id, **_state(facts))

    def expect(self, facts: PurchaseFacts) -> None:
        """Raise `Conflict` unless these are the facts that were recorded."""
        reported = {**_state(facts), "occurred_at": facts.occurred_at}
        differing = sorted(name for name, value in reported.items() if getattr(self, name) != value)
        if differing:
            raise Conflict(
                f"order {self.order_id!r} of {self.system!r} is recorded with other content: {', '.join(differing)}",
                code="purchase_conflict",
                purchase_id=str(self.id),
            )


def _state(facts: PurchaseFacts) -> dict[str, Any]:
    return {
        "customer_id": facts.customer_id,
        "system": facts.system,
        "order_id": facts.order_id,
        "amount": facts.total.amount,
        "currency": facts.total.currency,
        "lines": [_line_state(line) for line in facts.lines],
        "channel": facts.channel,
    }


def _line_state(line: Line) -> dict[str, Any]:
    state: dict[str, Any] = {"sku": line.sku, "quantity": line.quantity}
    if line.name is not None:
        state["name"] = line.name
    if line.category is not None:
        state["category"] = line.category
    if line.unit_price is not None:
        state["unit_price"] = line.unit_price.amount
    return state
