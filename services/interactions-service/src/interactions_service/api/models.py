"""Request and response models of interactions."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from crm_shared.http.fields import (
    Attributes,
    CustomerId,
    ExternalId,
    MoneyIn,
    Name,
    Occurred,
    RequestModel,
    SystemName,
    Word,
)
from interactions_service.domain import InteractionFacts, Line, Money, PurchaseFacts


class PurchaseLineIn(RequestModel):
    """One line of an order."""

    sku: ExternalId = Field(description="The article, in the reporting system")
    name: Name | None = None
    category: Name | None = None
    quantity: Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
    unit_price: MoneyIn | None = Field(None, description="Of one piece; below zero for a discount")


class PurchaseIn(RequestModel):
    """A purchase. If every line has a price they add up to the total; if only some have, those do not exceed it."""

    customer_id: CustomerId = Field(description="May be one that contacts has not announced (yet)")
    system: SystemName = Field(examples=["webshop"], description="The system that the order is from")
    order_id: ExternalId = Field(description="The order in that system")
    occurred_at: Occurred
    total: MoneyIn = Field(description="What the customer paid: nothing or more")
    lines: Annotated[list[PurchaseLineIn], Field(max_length=200)] = []
    channel: Word | None = Field(None, description="Open enumeration; known: store, web, app, phone, social")

    def to_facts(self) -> PurchaseFacts:
        """The purchase in the terms of the domain."""
        return PurchaseFacts(
            customer_id=str(self.customer_id),
            system=self.system,
            order_id=self.order_id,
            occurred_at=self.occurred_at,
            total=Money(self.total.amount, self.total.currency),
            lines=tuple(
                Line(
                    line.sku,
                    line.quantity,
                    line.name,
                    line.category,
                    Money(line.unit_price.amount, line.unit_price.currency) if line.unit_price else None,
                )
                for line in self.lines
            ),
            channel=self.channel,
        )


class InteractionIn(RequestModel):
    """A message, call, visit or other contact with a customer."""

    customer_id: CustomerId = Field(description="May be one that contacts has not announced (yet)")
    channel: Word = Field(
        examples=["email"],
        description="Open enumeration; known: email, phone, sms, chat, web, app, social, mail, in_person",
    )
    direction: Literal["inbound", "outbound"]
    occurred_at: Occurred
    subject: Annotated[str, Field(max_length=1_000)] | None = None
    body: Annotated[str, Field(max_length=30_000)] | None = None
    agent: ExternalId | None = Field(None, description="Opaque id of the member of staff, never a name")
    external_id: ExternalId | None = Field(None, description="The id in the reporting system, unique on its channel")
    attributes: Attributes | None = None

    def to_facts(self) -> InteractionFacts:
        """The interaction in the terms of the domain."""
        return InteractionFacts(
            customer_id=str(self.customer_id),
            channel=self.channel,
            direction=self.direction,
            occurred_at=self.occurred_at,
            subject=self.subject,
            body=self.body,
            agent=self.agent,
            external_id=self.external_id,
            attributes=self.attributes,
        )


class PurchaseRecordedOut(BaseModel):
    """The purchase is recorded; `position` is the log position of its event."""

    purchase_id: str
    customer_id: str
    created: bool = Field(description="False when it was on record already")
    position: int


class InteractionLoggedOut(BaseModel):
    """The interaction is logged; `position` is the log position of its event."""

    interaction_id: str
    customer_id: str
    created: bool = Field(description="False when it was on record already")
    position: int


class MoneyOut(BaseModel):
    """An amount of money."""

    amount: str
    currency: str


class PurchaseLineOut(BaseModel):
    """One line of an order."""

    sku: str
    name: str | None
    category: str | None
    quantity: int
    unit_price: MoneyOut | None


class PurchaseOut(BaseModel):
    """A recorded purchase."""

    type: Literal["purchase"]
    purchase_id: str
    customer_id: str
    system: str
    order_id: str
    total: MoneyOut
    lines: list[PurchaseLineOut]
    channel: str | None
    occurred_at: datetime
    recorded_at: datetime
    position: int


class InteractionOut(BaseModel):
    """A logged interaction."""

    type: Literal["interaction"]
    interaction_id: str
    customer_id: str
    channel: str
    direction: str
    subject: str | None
    body: str | None
    agent: str | None
    external_id: str | None
    attributes: dict[str, Any] | None
    occurred_at: datetime
    recorded_at: datetime
    position: int
