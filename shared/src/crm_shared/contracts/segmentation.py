"""Public events of segmentation: definitions of segments, and who enters and leaves them."""

from pydantic import Field

from crm_shared.contracts.registry import EventData, public_event
from crm_shared.contracts.types import PII, CustomerId, Uuid, Value


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
