"""Public events of interactions: what was said and what was bought."""

from pydantic import Field

from crm_contracts.registry import EventData, public_event
from crm_contracts.types import EXAMPLE_CUSTOMER, PII, CustomerId, Money, Scalar, Uuid, Value


class PurchaseLine(Value):
    """One line of an order."""

    sku: str = Field(description="The article, in the reporting system")
    name: str | None = Field(None, description="Of the article")
    category: str | None = Field(None, description="Of the article")
    quantity: int = Field(description="How many")
    unit_price: Money | None = Field(None, description="The price of one")


@public_event("interactions", "1.0")
class InteractionLogged(EventData):
    """A message, call, visit or other contact with a customer was recorded."""

    interaction_id: Uuid
    customer_id: CustomerId
    channel: str = Field(
        description="Open enumeration; known: email, phone, sms, chat, web, app, social, mail, in_person"
    )
    direction: str = Field(description="Open enumeration; known: inbound, outbound")
    subject: str | None = Field(None, description="What it was about", json_schema_extra=PII)
    body: str | None = Field(None, description="What was said", json_schema_extra=PII)
    agent: str | None = Field(None, description="Opaque id of the member of staff")
    external_id: str | None = Field(None, description="The id in the reporting system")
    attributes: dict[str, Scalar] | None = Field(
        None, description="Custom attributes: name to value", json_schema_extra=PII
    )


@public_event("interactions", "1.0")
class PurchaseRecorded(EventData):
    """A purchase was recorded; `system` and `order_id` together are unique."""

    purchase_id: Uuid
    customer_id: CustomerId
    system: str = Field(description="The system that the order is from")
    order_id: str = Field(description="The order in that system")
    total: Money = Field(description="What the customer paid")
    lines: list[PurchaseLine] = Field(description="What was bought; may be empty when only the total is known")
    channel: str | None = Field(None, description="Open enumeration; known: store, web, app, phone, social")


EXAMPLES: tuple[EventData, ...] = (
    InteractionLogged(
        interaction_id="6b1f7c0a-98d1-5f5b-a9d5-2d0f1d8e7a31",
        customer_id=EXAMPLE_CUSTOMER,
        channel="phone",
        direction="inbound",
        subject="Hỏi về thời gian giao hàng",
        body="Chị Khai hỏi đơn hàng đã được gửi chưa.",
        agent="agent-17",
        external_id="call-20260114-0093",
        attributes={"duration_seconds": 184},
    ),
    PurchaseRecorded(
        purchase_id="c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f",
        customer_id=EXAMPLE_CUSTOMER,
        system="pos-saigon",
        order_id="HD-2026-000341",
        total=Money(amount="1250000", currency="VND"),
        lines=[
            PurchaseLine(
                sku="AD-07",
                name="Áo dài lụa",
                category="Thời trang",
                quantity=1,
                unit_price=Money(amount="1100000", currency="VND"),
            ),
            PurchaseLine(sku="CF-02", name="Cà phê", quantity=3, unit_price=Money(amount="50000", currency="VND")),
        ],
        channel="store",
    ),
)
