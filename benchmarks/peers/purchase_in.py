"""The request that every Python side but ours takes: checked as a team would check it, with pydantic alone."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Money(BaseModel):
    """An amount in a currency (ISO 4217 code)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[Decimal, Field(max_digits=24, decimal_places=6)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Line(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sku: Text
    name: Text | None = None
    quantity: Annotated[int, Field(ge=1, le=1_000_000_000)]
    unit_price: Money | None = None


class PurchaseIn(BaseModel):
    """A purchase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: UUID
    system: Text
    order_id: Text
    occurred_at: AwareDatetime
    total: Money
    lines: Annotated[list[Line], Field(max_length=200)] = []
    channel: Text | None = None
