"""When a consumer asks for records again: at once where they come, ever more seldom where none do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from crm_shared.kafka.pace import (
    ENOUGH_RECORDS,
    LONGEST_GATHERING_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LONGEST_WAIT_MS,
    Pace,
)

WAIT_MS = 20


@dataclass
class Position:
    """What a fetcher knows of one partition."""

    position: int = 0
    highwater: int | None = None
    has_valid_position: bool = True


@dataclass
class Assignment:
    """One partition, at offset 0."""

    state: Position = field(default_factory=Position)
    active: bool = True

    def state_value(self, partition: Any) -> Position:
        return self.state


@dataclass
class Request:
    topics: Sequence[tuple[str, Sequence[tuple[int, int, int]]]] = (("topic", ((0, 0, 1024),)),)


class Fetcher:
    """A fetcher whose broker has records when the script says so."""

    def __init__(self, script: Sequence[bool]) -> None:
        self._script = list(script)
        self._fetch_max_wait_ms = WAIT_MS
        self.asked_at: list[float] = []
        self.waits: list[int] = []

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        self.asked_at.append(time.monotonic())
        self.waits.append(self._fetch_max_wait_ms)
        return self._script.pop(0)

    async def ask(self, assignment: Assignment | None = None) -> bool:
        return await self._proc_fetch_request(assignment or Assignment(), 0, Request())


@pytest_asyncio.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes by timers only."""
    now = [1_000.0]
    loop = asyncio.get_running_loop()

    def call_later(seconds: float, callback: Callable[[], None]) -> asyncio.Handle:
        now[0] += seconds
        return loop.call_soon(callback)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(loop, "call_later", call_later)
    return now


def gaps(fetcher: Fetcher) -> list[float]:
    return [round(later - earlier, 3) for earlier, later in zip(fetcher.asked_at, fetcher.asked_at[1:], strict=False)]


async def test_a_broker_that_lets_requests_wait_is_asked_again_at_once(clock: list[float]) -> None:
    fetcher = Fetcher([True, False, True, False])
    Pace().set(fetcher)
    for _ in range(4):
        await fetcher.ask()

    assert gaps(fetcher) == [0, 0, 0]


async def test_where_records_may_gather_the_next_request_waits_only_after_some_have_come(clock: list[float]) -> None:
    fetcher = Fetcher([False, True, False, True])
    Pace(gather=0.05).set(fetcher)
    for _ in range(4):
        await fetcher.ask()

    # nothing had come before the second: the first event is shown at once
    assert gaps(fetcher) == [0, 0.05, 0]


async def test_a_broker_that_must_be_asked_is_asked_ever_more_seldom_at_rest_and_often_again_afterwards(
    clock: list[float],
) -> None:
    quiet = 400
    fetcher = Fetcher([True] + [False] * quiet + [True, False])
    Pace(pause=0.005).set(fetcher)
    for _ in range(quiet + 3):
        await fetcher.ask()

    waited = gaps(fetcher)
    assert waited[:3] == [0.005, 0.005, 0.005]
    assert waited[:quiet] == sorted(waited[:quiet])
    assert waited[quiet] == LONGEST_PAUSE_SECONDS
    # then records came
    assert waited[quiet + 1] == 0.005


async def test_a_request_that_a_full_broker_cannot_answer_in_its_time_gets_a_longer_one(clock: list[float]) -> None:
    fetcher = Fetcher([False] * 5)
    Pace(pause=0.005).set(fetcher)
    # given a broker that says it has records there, and brings none
    starved = Assignment(Position(0, highwater=9))
    for _ in range(5):
        await fetcher.ask(starved)

    assert fetcher.waits == [20, 80, 320, LONGEST_WAIT_MS, LONGEST_WAIT_MS]
    assert gaps(fetcher) == [0, 0, 0, 0]


async def test_a_request_that_reached_the_end_is_not_taken_for_starved(clock: list[float]) -> None:
    fetcher = Fetcher([False] * 3)
    Pace(pause=0.005).set(fetcher)
    for at_end in (Position(9, highwater=9), Position(0, highwater=None), Position(5, highwater=9)):
        await fetcher.ask(Assignment(at_end))

    assert fetcher.waits == [WAIT_MS] * 3


async def test_where_records_come_fast_more_may_gather_but_for_a_backlog_nobody_waits(clock: list[float]) -> None:
    fetcher = Fetcher([True] * 5)
    pace = Pace(pause=0.005)
    pace.set(fetcher)
    for records in (1, 1_000, ENOUGH_RECORDS - 1, 0):
        pace.came(records)
        await fetcher.ask()
    await fetcher.ask()

    # as many as came in the batch before decide about the pause behind the request
    assert gaps(fetcher) == [0.008, 0, LONGEST_GATHERING_SECONDS, 0.005]


async def test_somebody_who_waits_for_records_ends_the_pause() -> None:
    fetcher = Fetcher([True, False, False])
    pace = Pace(gather=30.0, pause=0.005)
    pace.set(fetcher)
    await fetcher.ask()
    asking = asyncio.create_task(fetcher.ask())
    await asyncio.sleep(0.01)
    assert len(fetcher.asked_at) == 1

    pace.hurry()
    pace.hurry()

    async with asyncio.timeout(1):
        assert await asking is False
    # and a hurry that interrupts no pause does no harm
    pace.hurry()
    assert await fetcher.ask() is False
    assert len(fetcher.asked_at) == 3


async def test_who_is_cancelled_while_it_pauses_says_that_nothing_came() -> None:
    fetcher = Fetcher([True, True])
    Pace(gather=30.0).set(fetcher)
    await fetcher.ask()

    asking = asyncio.create_task(fetcher.ask())
    await asyncio.sleep(0.01)
    asking.cancel()

    assert await asking is False
    assert len(fetcher.asked_at) == 1
