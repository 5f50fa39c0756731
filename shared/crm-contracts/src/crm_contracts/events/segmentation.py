"""Public events of segmentation: definitions of segments, and who enters and leaves them."""

from pydantic import Field

from crm_contracts.registry import EventData, public_event
from crm_contracts.types import EXAMPLE_CUSTOMER, PII, CustomerId, Uuid, Value


class DecidingValue(Value):
    """One leaf of the condition at the moment of the decision."""

    field: str = Field(description="What the leaf names, for example purchases.count")
    op: str = Field(description="The operator of the leaf")
    threshold: str | None = Field(None, description="The value in the condition, as JSON text", json_schema_extra=PII)
    actual: str | None = Field(None, description="The customer's value, as JSON text", json_schema_extra=PII)
    result: bool = Field(description="Whether the leaf held")


@public_event("segmentation", "1.0")
class SegmentDefined(EventData):
    """A segment was defined, or defined anew with a higher version. Keyed by the segment's own id."""

    segment_id: Uuid
    key: str = Field(description="The segment's readable key, unique among segments")
    name: str = Field(description="For people")
    description: str | None = Field(None, description="For people")
    condition: str = Field(description="The condition in the segment language, as JSON text")
    version: int = Field(description="Rises by one with every definition")


@public_event("segmentation", "1.0")
class SegmentRetired(EventData):
    """A segment is no longer in use; its members leave. Keyed by the segment's own id."""

    segment_id: Uuid
    key: str = Field(description="The segment's readable key, unique among segments")


@public_event("segmentation", "1.0")
class CustomerEnteredSegment(EventData):
    """A customer began to meet a segment's condition."""

    customer_id: CustomerId
    segment_id: Uuid
    segment_key: str = Field(description="The segment's readable key")
    segment_name: str = Field(description="As it was at the decision")
    definition_version: int = Field(description="The version of the segment that decided")
    because: str = Field(description="Open enumeration; known: facts_changed, segment_defined")
    values: list[DecidingValue] = Field(description="The values that decided, one per leaf")


@public_event("segmentation", "1.0")
class CustomerLeftSegment(EventData):
    """A customer ceased to meet a segment's condition, or the segment was retired."""

    customer_id: CustomerId
    segment_id: Uuid
    segment_key: str = Field(description="The segment's readable key")
    segment_name: str = Field(description="As it was at the decision")
    definition_version: int = Field(description="The version of the segment that decided")
    because: str = Field(description="Open enumeration; known: facts_changed, segment_defined, segment_retired")
    values: list[DecidingValue] = Field(description="The values that decided, one per leaf")


@public_event("segmentation", "1.0", state=True)
class MembershipState(EventData):
    """The segments that a customer is in, as of the record's `ce_sequence`."""

    customer_id: CustomerId
    segments: list[str] = Field(description="Keys of the segments, sorted")


_SEGMENT = "b7a9c1de-2f34-5c68-8d70-91b2a3c4d5e6"
_condition = '{"field":"purchases.revenue.VND","op":"gte","value":"5000000"}'

EXAMPLES: tuple[EventData, ...] = (
    SegmentDefined(
        segment_id=_SEGMENT,
        key="big-spenders",
        name="Khách chi tiêu nhiều",
        description="From 5 million VND in all",
        condition=_condition,
        version=1,
    ),
    SegmentRetired(segment_id=_SEGMENT, key="big-spenders"),
    CustomerEnteredSegment(
        customer_id=EXAMPLE_CUSTOMER,
        segment_id=_SEGMENT,
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
        customer_id=EXAMPLE_CUSTOMER,
        segment_id=_SEGMENT,
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
    MembershipState(customer_id=EXAMPLE_CUSTOMER, segments=["big-spenders", "repeat-buyers"]),
)
