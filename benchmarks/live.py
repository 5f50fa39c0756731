"""Live projection of two views against one raw upsert per event; customers drawn uniformly, and skewed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

import contacts_service.projections
import customer360_service.projections
from benchmarks.changes import Changes, History, Purchases
from benchmarks.consumer import publish
from benchmarks.harness import Bench, Row, ratios
from benchmarks.purchases import skewed, uniform
from crm_contracts.envelope import PublicEvent, Record, decode
from crm_shared.kafka import Kafka
from crm_shared.mongo import DURABLE, Document
from crm_shared.projections import DocumentProjection, Failure, Projection
from crm_shared.projections.consumer import Consumer
from crm_shared.projections.progress_keeper import Note
from crm_shared.settings import Settings

NAME = "live"
CUSTOMERS = 5_000
UNIFORM_EVENTS = 4_000
SKEWED_EVENTS = 12_000
RAW_EVENTS = 3_000
PER_BULK = 500

PATIENCE_SECONDS = 300


class Counting(DocumentProjection):
    """A projection that says when it has written so many events."""

    def __init__(self, projection: DocumentProjection) -> None:
        self.__dict__.update(projection.__dict__)
        self._left = 0
        self._done = asyncio.Event()
        self.hurry: Callable[[], None] = lambda: None

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        failures = await super().apply(events, note)
        assert not failures, failures
        self._left -= len(events)
        if self._left <= 0:
            self._done.set()
        return failures

    async def take(self, settings: Settings, sent: Sequence[Record]) -> float:
        """Publish records; events per second until all are written."""
        self._left = len(sent)
        self._done.clear()
        begin = time.perf_counter()
        # As for a query that waits: after some quiet seconds the embedded broker is asked for news a few times a second
        # only, which is no matter of how fast they are written.
        self.hurry()
        await publish(settings, sent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._done.wait()
        return len(sent) / (time.perf_counter() - begin)


@contextlib.asynccontextmanager
async def projecting(
    settings: Settings, database: AsyncDatabase[Document], view: DocumentProjection
) -> AsyncIterator[Counting]:
    """A consumer that keeps the view while the block runs."""
    counting = Counting(view)
    consumer = Consumer(counting, database, Kafka(settings))
    counting.hurry = consumer.hurry
    work = asyncio.create_task(consumer.run())
    try:
        yield counting
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def run(bench: Bench) -> list[Row]:
    """The same consumer goes on from round to round, as a projector does; every customer has a document already."""
    found: list[Row] = []
    for name, what, projection, history_of in (
        ("live", "live projection of contacts", contacts_service.projections.CUSTOMERS, Changes),
        ("live-360", "live projection of the 360 with timeline", customer360_service.projections.CUSTOMERS, Purchases),
    ):
        for suffix, how, draw, number, target in (
            ("", "customers drawn uniformly", uniform, UNIFORM_EVENTS, 1.1),
            ("-skewed", "80 % of events on 20 customers", skewed, SKEWED_EVENTS, 5.0),
        ):
            with bench.servers() as servers:
                history = history_of(CUSTOMERS, draw)
                figures = await compare(bench, bench.settings(servers), projection, history, number)
            found.append(
                Row(
                    name + suffix,
                    f"{what}, {how}",
                    f"one raw upsert per event, batch {PER_BULK}",
                    ratios(figures["projection"], figures["upserts"]),
                    target,
                    absolute=figures,
                    absolute_unit="events/s",
                )
            )
    return found


async def compare(
    bench: Bench, settings: Settings, projection: Projection, history: History, number: int
) -> dict[str, list[float]]:
    """The rates of both sides."""
    async with (
        AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client,
        projecting(settings, client["bench"], DocumentProjection(client["bench"], projection)) as view,
    ):
        bench.report("filling the view")
        await view.take(settings, history.history(1))
        return await bench.take_turns(
            {
                "projection": lambda: view.take(settings, history.more(number)),
                "upserts": lambda: upsert_each(client, history.more(RAW_EVENTS)),
            }
        )


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
        "$inc": {"count": 1},
        "$max": {"last_at": event.occurred_at, f"positions.{event.service}": event.sequence},
        "$set": {"latest": event.data},
    }
    return UpdateOne({"_id": event.key}, change, upsert=True)
