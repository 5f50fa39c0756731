"""Public events as the other services publish them, for every test of customer360."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest

from crm_contracts.envelope import PublicEvent, Record, decode, encode
from crm_contracts.registry import EventData

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    """What a stored event says of itself."""

    originator_id: UUID
    originator_version: int
    occurred_at: datetime
    timestamp: datetime
    context: dict[str, str] = field(
        default_factory=lambda: {
            "correlation_id": "c",
            "causation_id": "c",
            "actor": "test",
            "traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
        }
    )


def _published(data: EventData, position: int, at: datetime = NOON) -> Record:
    key = str(next(getattr(data, name) for name in ("customer_id", "segment_id", "survey_id") if hasattr(data, name)))
    return encode(Fact(UUID(key), position, at, NOON), position, key, data)


def _happened(data: EventData, position: int, at: datetime = NOON) -> PublicEvent:
    record = _published(data, position, at)
    return decode(record.key, record.value, record.headers)


@pytest.fixture(scope="session")
def published() -> Callable[..., Record]:
    """`published(data, position, at=...)`: the Kafka record of a public event."""
    return _published


@pytest.fixture(scope="session")
def happened() -> Callable[..., PublicEvent]:
    """`happened(data, position, at=...)`: a public event as a projection gets it."""
    return _happened
