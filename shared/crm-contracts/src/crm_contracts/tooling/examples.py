"""The Kafka records that examples of public events, and of a watermark, would travel as."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crm_contracts.envelope import Headers, Record, encode
from crm_contracts.registry import EventData
from crm_contracts.watermark import encode_watermark

KEY_FIELDS = ("customer_id", "segment_id", "survey_id")
_HAPPENED = datetime(2026, 1, 14, 2, 30, tzinfo=UTC)
_RECORDED = _HAPPENED + timedelta(seconds=1.5)


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
    return encode(_Fact(UUID(key), 7, _HAPPENED, _RECORDED), position, key, data)


def example_watermark(service: str, position: int = 1234) -> tuple[bytes, Headers]:
    """The value and the headers of a service's watermark."""
    return encode_watermark(service, 0, position, _RECORDED, _RECORDED)
