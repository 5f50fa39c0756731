"""Clocks that are stepped by a day under load: positions and order do not hang on them, and no view differs."""

import asyncio
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.faults.fleet import Fleet
from tests.faults.load import REQUEST_SECONDS, Load
from tests.faults.oracle import Oracle, settled

DAY = 24 * 3600
CACHED_SECONDS = 2.0
STEPS = (DAY, -DAY, 0)
RESUMED_SECONDS = 10.0


class Clock:
    """What the services take for the time: the real one and an offset, read from a file every second.

    The library stands between a process and its system's clock. Like a real step it leaves the monotonic clock alone.
    """

    def __init__(self, folder: Path) -> None:
        spec = find_spec("libfaketime")
        assert spec is not None, "libfaketime is not installed"
        assert spec.origin is not None
        self._library = Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
        if not self._library.exists():
            pytest.fail(f"the clock of a process can be stepped on Linux only: {self._library} is missing")
        self._file = folder / "offset"
        self.step(0)

    def environment(self) -> dict[str, str]:
        """The variables that make a process take its time from here."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Seconds between two looks at the file; without, each look at the clock would open it.
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # A repair for older C libraries, with which waits on the monotonic clock return at once.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        """It is so much later, or earlier, than it really is: from now on, and for all within a second or two."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def stepped(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet whose services have the clock that is stepped; their servers have the real one."""
    with Fleet(tmp_path_factory.mktemp("stepped"), environment=clock.environment()) as fleet:
        yield fleet


async def test_a_clock_that_is_stepped_by_a_day_changes_no_order_and_no_view(
    stepped: Fleet, clock: Clock, count: int, tally: Callable[..., None]
) -> None:
    slowest = 0.0

    async with Load(stepped.url, seed=9, most=2_000 * count) as load:
        for seconds in STEPS * count:
            await load.progress(30)
            clock.step(seconds)
            await asyncio.sleep(CACHED_SECONDS)
            slowest = max(slowest, await seen(stepped))
        await load.progress(30)

    assert not load.trouble
    oracle = await settled(stepped.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
    assert slowest < RESUMED_SECONDS
    # The clocks were stepped indeed, both ways, while positions only grew.
    backwards, forwards = steps_of(oracle)
    assert backwards >= count
    assert forwards >= count
    tally(steps=len(STEPS) * count, commands=len(load.accepted), milliseconds_to_see=round(slowest * 1000))


async def seen(fleet: Fleet) -> float:
    """The seconds until a command is accepted and its event is in the view of another service."""
    started = time.monotonic()
    value = f"clock{time.time_ns()}@example.com"
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": value}]}
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client, asyncio.timeout(60):
        answer = await client.post(f"{fleet.url('contacts')}/v1/customers/identify", json=body)
        identified = answer.raise_for_status().json()
        url = f"{fleet.url('customer360')}/v1/customers/{identified['customer_id']}"
        after = {"after": f"contacts:{identified['position']}"}
        while (answer := await client.get(url, params=after)).status_code == 503:
            await asyncio.sleep(0.05)
    assert answer.json()["identified"]
    return time.monotonic() - started


def steps_of(oracle: Oracle) -> tuple[int, int]:
    """How often the time at which contacts stored an event fell, or rose, by half a day from one event to the next."""
    events = oracle.logs["contacts"].events
    positions = [position for _, position in events]
    assert positions == sorted(set(positions))
    times = [event.timestamp for event, _ in events]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    return sum(gap < -DAY / 2 for gap in gaps), sum(gap > DAY / 2 for gap in gaps)
