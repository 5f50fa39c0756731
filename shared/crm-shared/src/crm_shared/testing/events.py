"""Public events as a projection gets them, made from their payloads."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from crm_contracts.envelope import PublicEvent, Record, decode, encode
from crm_contracts.registry import EventData
from crm_shared.domain.context import CommandContext

KEY_FIELDS = ("customer_id", "segment_id", "survey_id")


@dataclass(frozen=True)
class _Fact:
    occurred_at: datetime
    timestamp: datetime
    originator_version: int
    originator_id: UUID = field(default_factory=uuid4)
    context: dict[str, str] = field(default_factory=lambda: CommandContext().stamp())


def recorded(
    data: EventData,
    *,
    position: int = 1,
    at: datetime = datetime(2026, 1, 14, 2, 30, tzinfo=UTC),
    recorded_at: datetime | None = None,
    key: str | None = None,
) -> Record:
    """The Kafka record of a payload that happened `at`, at a position of its service's log."""
    fact = _Fact(at, recorded_at or at, 1)
    named = next((getattr(data, name) for name in KEY_FIELDS if hasattr(data, name)), None)
    return encode(fact, position, key or named or str(fact.originator_id), data)


def public_event(
    data: EventData,
    *,
    position: int = 1,
    at: datetime = datetime(2026, 1, 14, 2, 30, tzinfo=UTC),
    recorded_at: datetime | None = None,
    key: str | None = None,
) -> PublicEvent:
    """The same as a projection's fold gets it."""
    record = recorded(data, position=position, at=at, recorded_at=recorded_at, key=key)
    return decode(record.key, record.value, record.headers)
