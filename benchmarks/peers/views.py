"""How a side's view of customers is looked at from outside: every 10 ms, for each purchase that was sent."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

LOOK_SECONDS = 0.01
CUSTOMERS = 2_000  # that every load takes in turn


@dataclass(frozen=True)
class Sent:
    """A purchase that was answered: the how-manieth of its load, from 0, and when it was due (monotonic seconds)."""

    number: int
    due: float
    customer: str
    position: int


class View(ABC):
    """A side's view of customers. A purchase is visible from the first look that finds it applied.

    So a delay is up to 10 ms longer than in truth, on every side.
    """

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            begin = time.monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - begin)))

    @abstractmethod
    async def look(self) -> None:
        """Note what has been applied since the last look, with the time."""

    @abstractmethod
    def visible_at(self, purchase: Sent) -> float | None:
        """When a purchase had first been found applied (monotonic seconds); None when it has not."""

    @abstractmethod
    async def applied(self) -> int:
        """How many different purchases the view holds."""

    @abstractmethod
    async def counts(self) -> Counter[str]:
        """How many purchases the view counts of each customer."""


class ByPosition(View):
    """A view of which can be asked at little cost which of some log positions it has applied, in whatever order.

    Asked for are those below the highest one found that have not been found, and the next ones.
    """

    AHEAD = 32

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._missing: set[int] = set()
        self._highest: int | None = None

    @abstractmethod
    async def highest(self) -> int:
        """The highest position that has been applied; 0 when nothing has."""

    @abstractmethod
    async def found(self, positions: Sequence[int]) -> Sequence[int]:
        """Those of the positions that have been applied."""

    async def look(self) -> None:
        if self._highest is None:
            self._highest = await self.highest()
        while True:
            ahead = range(self._highest + 1, self._highest + 1 + self.AHEAD)
            found = await self.found([*self._missing, *ahead])
            self._seen.update(dict.fromkeys(found, time.monotonic()))
            reached = max(found, default=0)
            self._missing = (self._missing | set(range(self._highest + 1, reached + 1))) - set(found)
            self._highest = max(self._highest, reached)
            if reached != ahead[-1]:
                return

    def visible_at(self, purchase: Sent) -> float | None:
        return self._seen.get(purchase.position)


class ByCustomer(View):
    """A view that applies each partition in order, looked at through the documents of the customers that come next.

    The load takes customers in turn, so the next ones of each partition are known, and how often each has bought.
    """

    PER_PARTITION = 2

    def __init__(self, customers: Sequence[str], partition_of: Callable[[str], int]) -> None:
        self._customers = customers
        self._before: Counter[str] | None = None
        self._seen: dict[int, float] = {}
        self._lanes: dict[int, list[int]] = defaultdict(list)
        for number, customer in enumerate(customers):
            self._lanes[partition_of(customer)].append(number)
        self._next = {partition: deque[int]() for partition in self._lanes}
        self._laps = 0

    @abstractmethod
    async def counts_of(self, customers: Collection[str]) -> Mapping[str, int]:
        """How many purchases the view counts of these customers; without those that it does not know."""

    async def look(self) -> None:
        if self._before is None:
            self._before = await self.counts()
        found = True
        while found:
            wanted = {number: self._customer(number) for lane in self._next_numbers() for number in lane}
            counts = await self.counts_of(set(wanted.values()))
            now = time.monotonic()
            found = False
            for number, customer in wanted.items():
                lap = number // len(self._customers)
                if counts.get(customer, 0) > self._before[customer] + lap:
                    self._seen[number] = now
                    found = True
            for lane in self._next.values():
                while lane and lane[0] in self._seen:
                    lane.popleft()

    def visible_at(self, purchase: Sent) -> float | None:
        return self._seen.get(purchase.number)

    def _customer(self, number: int) -> str:
        return self._customers[number % len(self._customers)]

    def _next_numbers(self) -> list[list[int]]:
        """The numbers of each partition that are looked for now."""
        if any(len(lane) < self.PER_PARTITION * 2 for lane in self._next.values()):
            for partition, numbers in self._lanes.items():
                self._next[partition].extend(self._laps * len(self._customers) + number for number in numbers)
            self._laps += 1
        unseen = ((number for number in lane if number not in self._seen) for lane in self._next.values())
        return [list(islice(numbers, self.PER_PARTITION)) for numbers in unseen]


@contextlib.asynccontextmanager
async def watching(view: View) -> AsyncIterator[None]:
    """The view is looked at inside the block."""
    task = asyncio.create_task(view.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
