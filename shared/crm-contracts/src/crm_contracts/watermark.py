"""Watermarks: how a subscriber knows that it has everything of a service up to a position of its log.

A watermark is the one record on event topics that concerns no customer: no key, and sent to every partition of the
topic. All services that publish events send the same one, each under its own name, `crm.<service>.Watermark.v1`.
Whoever does not need it skips it, as any other type it has no use for.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import AwareDatetime, Field, ValidationError

from crm_contracts.envelope import SEQUENCE_DIGITS, EnvelopeError, Headers, rfc3339, split_type, type_of
from crm_contracts.ids import derived_id_text
from crm_contracts.registry import EventData, PublicEventType

NAME = "Watermark"
_MAJOR, _MINOR = 1, 0
_SUFFIX = f".{NAME}.v{_MAJOR}"

# The others of the envelope tell of a customer, an aggregate or a command, and a watermark has none of them.
WATERMARK_HEADER_NAMES = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_dataschema",
    "ce_sequence",
)


class WatermarkData(EventData):
    """Every event of the service up to a position has been sent before this record; it concerns no customer."""

    sequence: int = Field(
        description="Every event of this service with this `ce_sequence` or a lower one precedes this record in its "
        "partition, if it belongs there at all",
        ge=0,
    )
    recorded_until: AwareDatetime = Field(
        description="Every event of this service with a `ce_recordedtime` before this precedes it, too; in UTC"
    )


class Watermark(NamedTuple):
    """What a watermark says: the partition it came in holds everything of `service` up to `sequence`.

    `recorded_until` is in UTC: every event stored before it has been sent, too.
    """

    service: str
    sequence: int
    recorded_until: datetime


def watermark_type(service: str) -> PublicEventType:
    """The event type of a service's watermarks."""
    return PublicEventType(service, NAME, _MAJOR, _MINOR, WatermarkData, state=False)


def encode_watermark(
    service: str, partition: int, sequence: int, recorded_until: datetime, at: datetime
) -> tuple[bytes, Headers]:
    """The value and the headers of a watermark, to be sent without a key to that partition of the event topic.

    `at` is when it was said. The same arguments give the same bytes. Raises ValueError for a time without a zone.
    """
    kind = watermark_type(service)
    until, said = rfc3339(recorded_until), rfc3339(at)
    value = WatermarkData(sequence=sequence, recorded_until=recorded_until.astimezone(UTC)).model_dump_json().encode()
    # Everything it says is part of its id: two watermarks that differ in anything are two events.
    event_id = derived_id_text(service, NAME, str(partition), str(sequence), until, said)
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", f"/{service}".encode()),
        ("ce_type", kind.ce_type.encode()),
        ("ce_time", said.encode()),
        ("ce_dataschema", kind.schema_path.encode()),
        ("ce_sequence", f"{sequence:0{SEQUENCE_DIGITS}}".encode()),
    ]
    return value, headers


def read_watermark(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Watermark | None:
    """The watermark in a record, or None for any other record; only a watermark's value is looked at.

    Raises `EnvelopeError` for a malformed watermark.
    """
    ce_type = type_of(headers)
    if ce_type is None or not ce_type.endswith(_SUFFIX):
        return None
    try:
        data = WatermarkData.model_validate_json(value or b"")
    except ValidationError as error:
        raise EnvelopeError(f"the watermark cannot be read: {error}") from error
    return Watermark(split_type(ce_type)[0], data.sequence, data.recorded_until.astimezone(UTC))
