"""One valid example of every public event, as the documentation shows it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crm_shared.contracts.contacts import (
    Address,
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerState,
    CustomerTagged,
    CustomerUntagged,
    Identifier,
    IdentityLinked,
    Preferences,
    PreferencesChanged,
    Profile,
    QuietHours,
)
from crm_shared.contracts.envelope import Record, encode
from crm_shared.contracts.feedback import Question, QuestionAnswer, SurveyAnswered, SurveyPublished
from crm_shared.contracts.interactions import InteractionLogged, PurchaseLine, PurchaseRecorded
from crm_shared.contracts.registry import EventData
from crm_shared.contracts.segmentation import (
    CustomerEnteredSegment,
    CustomerLeftSegment,
    DecidingValue,
    MembershipState,
    SegmentDefined,
    SegmentRetired,
)
from crm_shared.contracts.types import Money

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
SEGMENT = "b7a9c1de-2f34-5c68-8d70-91b2a3c4d5e6"
SURVEY = "0d9c8b7a-6f5e-5d4c-8b3a-291807f6e5d4"

_name = "Nguyễn Thị Minh Khai"
_address = Address(
    line="12 Đường Lê Lợi, Phường Bến Nghé",
    city="Thành phố Hồ Chí Minh",
    region="SG",
    postal_code="70000",
    country="VN",
)
_profile = Profile(
    kind="person",
    name=_name,
    birth_date="1988-03-08",
    gender="female",
    language="vi",
    income="360000000",
    address=_address,
    lifecycle_stage="customer",
)
_email = Identifier(type="email", value="minh.khai@example.com")
_phone = Identifier(type="phone", value="+84901234567")
_external = Identifier(type="external", value="KH-000187", system="pos-saigon")
_attributes = {"loyalty_tier": "vàng", "newsletter": True, "stores_visited": 3}
_preferences = Preferences(
    channels={"email": True, "sms": False},
    frequency="weekly",
    quiet_hours=QuietHours(start="21:30", end="07:00", timezone="Asia/Ho_Chi_Minh"),
    language="vi",
)
_condition = '{"field":"purchases.revenue.VND","op":"gte","value":"5000000"}'

EXAMPLES: tuple[EventData, ...] = (
    CustomerIdentified(
        customer_id=CUSTOMER,
        source="pos-saigon",
        identifiers=[_email, _external],
        profile=_profile,
        tags=["khách quen"],
        attributes=_attributes,
    ),
    CustomerDetailsChanged(
        customer_id=CUSTOMER,
        changed=["/profile/address", "/attributes/loyalty_tier"],
        profile=Profile(
            address=_address.model_copy(
                update={"line": "5 Phố Tràng Tiền", "city": "Hà Nội", "region": "HN", "postal_code": "10000"}
            )
        ),
        attributes={"loyalty_tier": "bạch kim"},
    ),
    IdentityLinked(customer_id=CUSTOMER, identifier=_phone),
    CustomerTagged(customer_id=CUSTOMER, tag="khách quen"),
    CustomerUntagged(customer_id=CUSTOMER, tag="khách quen"),
    PreferencesChanged(customer_id=CUSTOMER, changed=["/channels/sms", "/quiet_hours"], preferences=_preferences),
    CustomerState(
        customer_id=CUSTOMER,
        identifiers=[_email, _phone, _external],
        profile=_profile,
        tags=["khách quen"],
        attributes=_attributes,
        preferences=_preferences,
    ),
    InteractionLogged(
        interaction_id="6b1f7c0a-98d1-5f5b-a9d5-2d0f1d8e7a31",
        customer_id=CUSTOMER,
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
        customer_id=CUSTOMER,
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
    SegmentDefined(
        segment_id=SEGMENT,
        key="big-spenders",
        name="Khách chi tiêu nhiều",
        description="From 5 million VND in all",
        condition=_condition,
        version=1,
    ),
    SegmentRetired(segment_id=SEGMENT, key="big-spenders"),
    CustomerEnteredSegment(
        customer_id=CUSTOMER,
        segment_id=SEGMENT,
        segment_key="big-spenders",
        segment_name="Khách chi tiêu nhiều",
        definition_version=1,
        because="facts_changed",
        values=[
            DecidingValue(
                field="purchases.revenue.VND", op="gte", threshold='"5000000"', actual='"5400000"', result=True
            )
        ],
    ),
    CustomerLeftSegment(
        customer_id=CUSTOMER,
        segment_id=SEGMENT,
        segment_key="big-spenders",
        segment_name="Khách chi tiêu nhiều",
        definition_version=2,
        because="segment_defined",
        values=[
            DecidingValue(
                field="purchases.revenue.VND", op="gte", threshold='"8000000"', actual='"5400000"', result=False
            )
        ],
    ),
    MembershipState(customer_id=CUSTOMER, segments=["big-spenders", "repeat-buyers"]),
    SurveyPublished(
        survey_id=SURVEY,
        key="after-purchase",
        title="Sau khi mua hàng",
        version=1,
        questions=[
            Question(
                key="recommend", kind="nps", prompt="Bạn có giới thiệu chúng tôi cho bạn bè không?", required=True
            ),
            Question(key="where", kind="choice", prompt="Bạn mua ở đâu?", required=False, choices=["Hà Nội", "Huế"]),
            Question(key="why", kind="text", prompt="Vì sao?", required=False),
        ],
    ),
    SurveyAnswered(
        response_id="8e7d6c5b-4a39-5281-8f70-6e5d4c3b2a19",
        survey_id=SURVEY,
        survey_key="after-purchase",
        survey_version=1,
        customer_id=CUSTOMER,
        channel="email",
        answers=[
            QuestionAnswer(question="recommend", kind="nps", number=9),
            QuestionAnswer(question="where", kind="choice", choice="Hà Nội"),
            QuestionAnswer(question="why", kind="text", text="Nhân viên rất thân thiện."),
        ],
    ),
)

KEY_FIELDS = ("customer_id", "segment_id", "survey_id")


@dataclass(frozen=True, slots=True)
class _Fact:
    originator_id: UUID
    originator_version: int
    occurred_at: datetime
    timestamp: datetime
    context: dict[str, str] = field(
        default_factory=lambda: {
            "correlation_id": "5b7b5f6e-0d5c-4f39-8d1c-2b8a1f0c7e64",
            "causation_id": "5b7b5f6e-0d5c-4f39-8d1c-2b8a1f0c7e64",
            "actor": "integration-pos-saigon",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
    )


def example_record(data: EventData, position: int = 1234) -> Record:
    """The Kafka record that an example would travel as."""
    key = next(getattr(data, name) for name in KEY_FIELDS if hasattr(data, name))
    occurred_at = datetime(2026, 1, 14, 2, 30, tzinfo=UTC)
    return encode(_Fact(UUID(key), 7, occurred_at, occurred_at + timedelta(seconds=1.5)), position, key, data)
