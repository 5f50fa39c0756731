"""What several tests of the shared library are about."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_contracts.envelope import PublicEvent

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)


@pytest.fixture
def noted() -> Callable[..., PublicEvent]:
    """`noted("key", 3, note=1)`: a public event of this key at this log position, with this payload."""

    def event(key: str, position: int, **data: Any) -> PublicEvent:
        return PublicEvent(
            id=f"{key}-{position}",
            service="tests",
            name="Noted",
            major=1,
            key=key,
            subject=key,
            occurred_at=NOON,
            recorded_at=NOON,
            sequence=position,
            stream_version=position,
            correlation_id="",
            causation_id="",
            actor="",
            traceparent="",
            data=data,
        )

    return event
