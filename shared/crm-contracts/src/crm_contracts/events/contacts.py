"""Public events of contacts: customers, their identities, details, tags and preferences."""

from typing import Annotated

from pydantic import Field

from crm_contracts.registry import EventData, public_event
from crm_contracts.types import EXAMPLE_CUSTOMER, PII, CustomerId, Pointers, Scalar, Value


class Identifier(Value):
    """Something that names a customer in some system."""

    type: str = Field(description="Open enumeration; known: email, phone, external")
    value: str | None = Field(None, description="Normalised: lower-case email, E.164 phone", json_schema_extra=PII)
    system: str | None = Field(None, description="The system that an external id belongs to")


class Address(Value):
    """A postal address."""

    line: str | None = Field(None, description="House number, street, ward", json_schema_extra=PII)
    city: str | None = Field(None, description="City or district")
    region: str | None = Field(None, description="Province, state")
    postal_code: str | None = Field(None, description="As written there", json_schema_extra=PII)
    country: str | None = Field(None, description="ISO 3166-1 alpha-2 code")


class Profile(Value):
    """Who the customer is."""

    kind: str | None = Field(None, description="Open enumeration; known: person, organisation")
    name: str | None = Field(None, description="The full name, in its own order", json_schema_extra=PII)
    birth_date: str | None = Field(None, description="YYYY-MM-DD", json_schema_extra=PII)
    gender: str | None = Field(None, description="As the customer states it", json_schema_extra=PII)
    language: str | None = Field(None, description="BCP 47 tag")
    income: str | None = Field(None, description="Yearly income, a decimal number as text", json_schema_extra=PII)
    address: Address | None = Field(None, description="Where the customer lives or resides")
    industry: str | None = Field(None, description="Of an organisation")
    size: int | None = Field(None, description="Number of employees")
    lifecycle_stage: str | None = Field(None, description="Open enumeration; known: prospect, customer, former")


class QuietHours(Value):
    """When not to contact the customer."""

    start: str = Field(description="HH:MM, local to `timezone`")
    end: str = Field(description="HH:MM, local to `timezone`; before `start` means the next day")
    timezone: str = Field(description="IANA time zone")


class Preferences(Value):
    """How the customer wants to be contacted."""

    channels: dict[str, bool] = Field(default_factory=dict, description="Channel to whether it is welcome")
    frequency: str | None = Field(None, description="Open enumeration; known: daily, weekly, monthly, never")
    quiet_hours: QuietHours | None = None
    language: str | None = Field(None, description="BCP 47 tag")


Attributes = Annotated[
    dict[str, Scalar] | None, Field(description="Custom attributes: name to value", json_schema_extra=PII)
]


@public_event("contacts", "1.0")
class CustomerIdentified(EventData):
    """A customer became known for the first time."""

    customer_id: CustomerId
    source: str = Field(description="The system that reported the customer")
    identifiers: list[Identifier] = Field(description="All that are known")
    profile: Profile
    tags: list[str] = Field(description="Labels that people or systems put on the customer")
    attributes: Attributes = None


@public_event("contacts", "1.0")
class CustomerDetailsChanged(EventData):
    """Profile fields or custom attributes were set or cleared."""

    customer_id: CustomerId
    changed: Pointers
    profile: Profile = Field(description="New values of the changed fields")
    attributes: Attributes = None


@public_event("contacts", "1.0")
class IdentityLinked(EventData):
    """A further identifier was found to name this customer."""

    customer_id: CustomerId
    identifier: Identifier = Field(description="The further identifier")


@public_event("contacts", "1.0")
class CustomerTagged(EventData):
    """A tag was put on the customer."""

    customer_id: CustomerId
    tag: str = Field(description="The label")


@public_event("contacts", "1.0")
class CustomerUntagged(EventData):
    """A tag was taken off the customer."""

    customer_id: CustomerId
    tag: str = Field(description="The label")


@public_event("contacts", "1.0")
class PreferencesChanged(EventData):
    """Communication preferences were replaced: `preferences` holds all of them as they are now."""

    customer_id: CustomerId
    changed: Pointers
    preferences: Preferences = Field(description="All of them, as they are now")


@public_event("contacts", "1.0", state=True)
class CustomerState(EventData):
    """Everything that contacts knows of a customer, as of the record's `ce_sequence`."""

    customer_id: CustomerId
    identifiers: list[Identifier] = Field(description="All that are known")
    profile: Profile
    tags: list[str] = Field(description="Labels that people or systems put on the customer")
    attributes: Attributes = None
    preferences: Preferences | None = Field(None, description="Absent until the customer states any")


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

EXAMPLES: tuple[EventData, ...] = (
    CustomerIdentified(
        customer_id=EXAMPLE_CUSTOMER,
        source="pos-saigon",
        identifiers=[_email, _external],
        profile=_profile,
        tags=["khách quen"],
        attributes=_attributes,
    ),
    CustomerDetailsChanged(
        customer_id=EXAMPLE_CUSTOMER,
        changed=["/profile/address", "/attributes/loyalty_tier"],
        profile=Profile(
            address=_address.model_copy(
                update={"line": "5 Phố Tràng Tiền", "city": "Hà Nội", "region": "HN", "postal_code": "10000"}
            )
        ),
        attributes={"loyalty_tier": "bạch kim"},
    ),
    IdentityLinked(customer_id=EXAMPLE_CUSTOMER, identifier=_phone),
    CustomerTagged(customer_id=EXAMPLE_CUSTOMER, tag="khách quen"),
    CustomerUntagged(customer_id=EXAMPLE_CUSTOMER, tag="khách quen"),
    PreferencesChanged(
        customer_id=EXAMPLE_CUSTOMER, changed=["/channels/sms", "/quiet_hours"], preferences=_preferences
    ),
    CustomerState(
        customer_id=EXAMPLE_CUSTOMER,
        identifiers=[_email, _phone, _external],
        profile=_profile,
        tags=["khách quen"],
        attributes=_attributes,
        preferences=_preferences,
    ),
)
