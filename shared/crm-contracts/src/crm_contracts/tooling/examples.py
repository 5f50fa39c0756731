"""The Kafka record that an example of a public event would travel as."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from crm_contracts.envelope import Record, encode
from crm_contracts.registry import EventData

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
