"""The value types that payloads share: money, ids, personal text, and how they look in JSON Schema."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

PII: dict[str, Any] = {"x-pii": True}
EXAMPLE_CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
"""The customer of every example."""

CustomerId = Annotated[str, Field(description="Customer id: a lower-case UUID", json_schema_extra={"format": "uuid"})]
Uuid = Annotated[str, Field(description="A lower-case UUID", json_schema_extra={"format": "uuid"})]
Pointers = Annotated[
    list[str], Field(description="JSON pointers of what this change touched; a value absent there was cleared")
]
Scalar = str | bool | int | float


class Value(BaseModel):
    """Base of objects nested in payloads."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Money(Value):
    """An amount of money."""

    amount: str = Field(description="A decimal number as text", examples=["12.30"], pattern=r"^-?[0-9]+(\.[0-9]+)?$")
    currency: str = Field(description="ISO 4217 code", examples=["VND"], pattern=r"^[A-Z]{3}$")
