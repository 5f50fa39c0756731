"""Live projection into the customer 360, against one raw upsert per event; customers drawn uniformly, and skewed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from benchmarks.consumer import publish
from benchmarks.harness import Bench, Row, ratios
from benchmarks.purchases import customer_ids, events, records, skewed, uniform
from crm_shared.consumer import Consumer
from crm_shared.contracts.envelope import PublicEvent, Record, decode
from crm_shared.documents import DURABLE, Document
from crm_shared.kafka import Kafka
from crm_shared.projection import DocumentProjection, Failure
from crm_shared.settings import Settings
from customer360_service.projections import customers

NAME = "live"
CUSTOMERS = 5_000
UNIFORM_EVENTS = 4_000
SKEWED_EVENTS = 12_000
RAW_EVENTS = 3_000
PER_BULK = 500

Draw = Callable[[Sequence[str], int], Callable[[], str]]


class Counting(DocumentProjection):
    """A projection that says when it has written so many events."""

    def __init__(self, projection: DocumentProjection) -> None:
        self.__dict__.update(projection.__dict__)
        self._left = 0
        self._done = asyncio.Event()

    async def apply(self, events: Sequence[PublicEvent]) -> Mapping[str, Failure]:
        failures = await super().apply(events)
        assert not failures, failures
        self._left -= len(events)
        if self._left <= 0:
            self._done.set()
        return failures

    def expect(self, number: int) -> None:
        """From now on, wait for so many."""
        self._left = number
        self._done.clear()

    async def wait(self) -> None:
        """Until they are written."""
        async with asyncio.timeout(300):
            await self._done.wait()


class History:
    """Makes further purchases, with log positions that go on from the last."""

    def __init__(self) -> None:
        self._position = 0

    def more(self, number: int, draw: Callable[[], str]) -> list[Record]:
        drawn = [draw() for _ in range(number)]
        made = records(events(drawn, f"live{self._position}"), self._position + 1)
        self._position += number
        return made


@contextlib.asynccontextmanager
async def projecting(
    settings: Settings, database: AsyncDatabase[Document], view: DocumentProjection
) -> AsyncIterator[Counting]:
    """A consumer that keeps the view while the block runs."""
    counting = Counting(view)
    consumer = Consumer(counting, database, Kafka(settings))
    work = asyncio.create_task(consumer.run())
    try:
        yield counting
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def run(bench: Bench) -> list[Row]:
    """The same consumer goes on from round to round, as a projector does; every customer has a document already."""
    found: list[Row] = []
    for name, what, draw, number, target in (
        ("live", "live projection, customers drawn uniformly", uniform, UNIFORM_EVENTS, 1.1),
        ("live-skewed", "the same, 80 % of events on 20 customers", skewed, SKEWED_EVENTS, 5.0),
    ):
        with bench.servers() as servers:
            settings = bench.settings(servers)
            figures = await compare(bench, settings, draw, number)
        over = f"one raw upsert per event, batch {PER_BULK}"
        found.append(
            Row(name, what, over, ratios(*figures.values()), target, absolute=figures, absolute_unit="events/s")
        )
    return found


async def compare(
    bench: Bench, settings: Settings, draw: Draw, number: int, customers_in_all: int = CUSTOMERS
) -> dict[str, list[float]]:
    """The rates of both sides."""
    known = customer_ids(customers_in_all)
    history, draw_one = History(), draw(known, 7)
    async with (
        AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client,
        projecting(settings, client["bench"], customers(client["bench"])) as view,
    ):
        bench.report(f"filling the view with {customers_in_all:,} customers")
        each_once = iter(known)
        view.expect(customers_in_all)
        await publish(settings, history.more(customers_in_all, lambda: next(each_once)))
        await view.wait()

        async def live() -> float:
            sent = history.more(number, draw_one)
            view.expect(number)
            begin = time.perf_counter()
            await publish(settings, sent)
            await view.wait()
            return number / (time.perf_counter() - begin)

        async def raw() -> float:
            sent = history.more(RAW_EVENTS, draw_one)
            return await upsert_each(client, sent)

        return await bench.take_turns({"projection": live, "upserts": raw})


async def upsert_each(client: AsyncMongoClient[Document], sent: Sequence[Record]) -> float:
    """Events per second when each is one upsert, durable like a view's; decoding does not count."""
    collection = client["bench"].get_collection("raw", write_concern=DURABLE)
    decoded = [decode(one.key, one.value, one.headers) for one in sent]
    begin = time.perf_counter()
    for start in range(0, len(decoded), PER_BULK):
        await collection.bulk_write([upsert(one) for one in decoded[start : start + PER_BULK]], ordered=False)
    return len(decoded) / (time.perf_counter() - begin)


def upsert(event: PublicEvent) -> UpdateOne:
    """What somebody would write who keeps a count, the last purchase and the position by the store's own means."""
    change: dict[str, Any] = {
        "$inc": {"purchases.count": 1},
        "$max": {"purchases.last_at": event.occurred_at, "positions.interactions": event.sequence},
        "$set": {"latest": event.data},
    }
    return UpdateOne({"_id": event.key}, change, upsert=True)
