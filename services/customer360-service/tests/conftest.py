"""Public events as the other services publish them, recorded at noon, for every test of customer360."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from crm_contracts.envelope import PublicEvent, Record
from crm_contracts.registry import EventData
from crm_shared.testing import public_event, recorded

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)


def _published(data: EventData, position: int, at: datetime = NOON) -> Record:
    return recorded(data, position=position, at=at, recorded_at=NOON)


def _happened(data: EventData, position: int, at: datetime = NOON) -> PublicEvent:
    return public_event(data, position=position, at=at, recorded_at=NOON)


@pytest.fixture(scope="session")
def published() -> Callable[..., Record]:
    """`published(data, position, at=...)`: the Kafka record of a public event."""
    return _published


@pytest.fixture(scope="session")
def happened() -> Callable[..., PublicEvent]:
    """`happened(data, position, at=...)`: a public event as a projection gets it."""
    return _happened
