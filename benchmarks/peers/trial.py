"""One side measured once, from its start on data of its own to its stop."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.peers.side import Side
from benchmarks.peers.views import CUSTOMERS, Sent, View, watching
from benchmarks.processes import load

CONNECTIONS = 32
FILL_RATE = 1_000
BACKLOG = 5_000
# More than any side needs to publish that.
PUBLISH_SECONDS = 5.0
RATES = (50, 300)
WARM_UP_SECONDS = 2.0
VISIBLE_SECONDS = 6.0
PROCESSOR_SECONDS = 5.0
SETTLE_SECONDS = 10.0
REST_SECONDS = 10.0


class Trial:
    """A running side, and what it has been sent so far."""

    def __init__(self, side: Side, report: Callable[[str], None]) -> None:
        self.side = side
        self.report = report
        self._expected: Counter[str] = Counter()
        # What the view has been found never to get: waiting for it again would take long.
        self._lost = 0

    async def measure(self, *, rest: bool) -> dict[str, float]:
        """Everything but kills; `rest` also what it uses while nothing happens, which takes longer."""
        self.report("filling the view")
        await self.send(FILL_RATE, seconds=CUSTOMERS / FILL_RATE)
        await self.settle()
        figures = await self.commands_and_catch_up()
        if rest:
            figures["rest"] = await self.rest()
        for rate in RATES:
            figures |= await self.visible(rate)
        twice, missing = await self.errors()
        return figures | {"twice": twice, "missing": missing}

    async def commands_and_catch_up(self) -> dict[str, float]:
        """Durable commands per second in a closed loop, with nothing else going on; and how the view catches up.

        Events per second are counted from the first to the last that comes into the view, all of them published before.
        """
        self.report("commands")
        await asyncio.to_thread(self.side.take_only)
        said = await self._load("--requests", str(BACKLOG))
        sent = self._sent(said["answers"])
        self.report("publishing")
        await asyncio.to_thread(self.side.publish_again)
        await asyncio.sleep(PUBLISH_SECONDS)
        self.report("catching up")
        async with self.looking() as view:
            await asyncio.to_thread(self.side.project_again)
            times = sorted(when for _, when in await self.all_visible(view, sent))
        at_first = times.count(times[0])
        return {"commands": said["rate"], "catch-up": (len(times) - at_first) / (times[-1] - times[0])}

    async def rest(self) -> float:
        """Percent of a core that all processes use while nothing happens."""
        self.report("at rest")
        await asyncio.sleep(SETTLE_SECONDS)
        before, begin = self.side.processor_seconds(), time.monotonic()
        await asyncio.sleep(REST_SECONDS)
        return (self.side.processor_seconds() - before) / (time.monotonic() - begin) * 100

    async def visible(self, rate: int) -> dict[str, float]:
        """Delays in ms from when a request was due until the view holds it, and processor ms per purchase.

        The processor's time is read while nobody looks at the view: looks cost one side's store more than another's.
        """
        self.report(f"visible at {rate}/s")
        async with self.looking() as view:
            sent = await self.send(rate, seconds=WARM_UP_SECONDS + VISIBLE_SECONDS)
            visible = await self.all_visible(view, sent)
        warm = sent[0].due + WARM_UP_SECONDS
        delays = sorted((when - purchase.due) * 1000 for purchase, when in visible if purchase.due >= warm)
        self.report(f"processor time at {rate}/s")
        before = self.side.processor_seconds()
        sent = await self.send(rate, seconds=PROCESSOR_SECONDS)
        await self.settle()
        return {
            f"visible-{rate}-p50": delays[len(delays) // 2],
            f"visible-{rate}-p99": delays[int(len(delays) * 0.99)],
            f"processor-{rate}": (self.side.processor_seconds() - before) / len(sent) * 1000,
        }

    async def send(self, rate: float, *, seconds: float) -> Sequence[Sent]:
        """Purchases at fixed times, whatever the answers; all are answered in the end. In the order of their times."""
        return self._sent(await self._load("--rate", str(rate), "--seconds", str(seconds)))

    async def _load(self, *arguments: str) -> Any:
        common = ("--connections", str(CONNECTIONS), "--customers", str(CUSTOMERS))
        return await load(self.side.url, *arguments, *common)

    def _sent(self, answers: Sequence[tuple[float, float, str, int]]) -> Sequence[Sent]:
        self._expected.update(customer for _, _, customer, _ in answers)
        in_order = sorted((due, customer, position) for due, _, customer, position in answers)
        return [Sent(number, *answer) for number, answer in enumerate(in_order)]

    async def settle(self) -> None:
        """Wait until the view holds all that was sent, or has stood still for so long that it never will."""
        self.report("settling")
        async with self.side.view() as view:
            applied, most, moved = 0, -1, time.monotonic()
            while time.monotonic() - moved < self.side.stall_seconds:
                applied = await view.applied()
                if applied >= self._expected.total() - self._lost:
                    break
                if applied > most:
                    most, moved = applied, time.monotonic()
                await asyncio.sleep(0.2)
            self._lost = max(self._lost, self._expected.total() - applied)
        await asyncio.sleep(0.5)

    async def errors(self) -> tuple[int, int]:
        """How many purchases the view counts twice, and how many it misses, of all that was sent so far."""
        await self.settle()
        async with self.side.view() as view:
            counts = await view.counts()
        return (counts - self._expected).total(), (self._expected - counts).total()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[View]:
        """The view, looked at inside the block."""
        async with self.side.view() as view:
            await view.look()
            async with watching(view):
                yield view

    async def all_visible(self, view: View, sent: Sequence[Sent]) -> list[tuple[Sent, float]]:
        """What was sent, with when it became visible; without what the view has lost, on which waiting is bounded."""
        found: list[tuple[Sent, float]] = []
        waiting = list(sent)
        moved = time.monotonic()
        while waiting and time.monotonic() - moved < self.side.stall_seconds:
            await asyncio.sleep(0.2)
            times = [(purchase, view.visible_at(purchase)) for purchase in waiting]
            visible = [(purchase, when) for purchase, when in times if when is not None]
            if visible:
                found += visible
                waiting = [purchase for purchase, when in times if when is None]
                moved = time.monotonic()
        if not found:
            raise RuntimeError(f"{self.side.name}: nothing came into the view")
        return found
