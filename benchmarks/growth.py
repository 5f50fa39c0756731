"""How cost grows with customers, stored events, segments and partitions: a sweep of its own, without targets."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks import consumer, relay, segment_index, visible
from benchmarks.changes import Changes
from benchmarks.harness import Bench
from benchmarks.imports import LINES, import_lines
from benchmarks.live import projecting
from benchmarks.purchases import customer_ids, events, records, store, uniform
from contacts_service.projections import CUSTOMERS as PROJECTION
from crm_shared.mongo import Document
from crm_shared.postgres import EventSourcedApplication
from crm_shared.process import create_schema
from crm_shared.projections import DocumentProjection
from relata_local import Stack
from relata_local.ports import free_port
from relata_local.services import ServiceProcess

CUSTOMERS = (1_000, 10_000, 50_000)
IMPORTS = 10
PARTITIONS = (4, 12, 24)
RATES = (50, 100, 200, 300)
RATE_SECONDS = 15.0
TIMES = 3
LIVE_EVENTS = 3_000


@dataclass(frozen=True)
class Figures:
    """Medians of one path as one thing grows."""

    what: str
    by: str
    unit: str
    medians: dict[str, float]


async def run(bench: Bench) -> list[dict[str, Any]]:
    """All sweeps."""
    return [
        asdict(one)
        for one in (
            await customers(bench),
            await stored(bench),
            *segments(bench),
            *await partitions(bench),
            *await delays(bench),
        )
    ]


async def customers(bench: Bench) -> Figures:
    """Live projection when nobody is drawn more often than others; 8,000 documents are kept in memory."""
    medians: dict[str, float] = {}
    for number in CUSTOMERS:
        bench.report(f"{number:,} customers")
        with bench.servers() as servers:
            settings = bench.settings(servers)
            history = Changes(number, uniform)
            async with (
                AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client,
                projecting(
                    settings,
                    client["bench"],
                    DocumentProjection(client["bench"], PROJECTION),
                ) as view,
            ):
                await view.take(settings, history.history(1))
                rates = [await view.take(settings, history.more(LIVE_EVENTS)) for _ in range(TIMES)]
        medians[f"{number:,}"] = statistics.median(rates)
    return Figures("live projection of contacts", "customers", "events/s", medians)


async def stored(bench: Bench) -> Figures:
    """Imports into a store that fills."""
    with bench.servers() as servers:
        service = ServiceProcess("interactions", free_port(), bench.new_folder(), servers.environment)
        service.role = "api"
        service.start()
        try:
            await import_lines(service.address)
            rates = []
            for number in range(IMPORTS):
                bench.report(f"import {number + 1} of {IMPORTS}")
                rates.append(await import_lines(service.address))
        finally:
            service.stop()
    last = f"{(IMPORTS - TIMES) * LINES:,} to {IMPORTS * LINES:,}"
    medians = {f"up to {TIMES * LINES:,}": statistics.median(rates[:TIMES]), last: statistics.median(rates[-TIMES:])}
    return Figures(f"import of {LINES:,} purchases", "events stored", "purchases/s", medians)


def segments(bench: Bench) -> list[Figures]:
    """One change of one customer's facts, among more and more segments."""
    bench.report("segments")
    return [
        Figures(
            f"segment evaluation: {name}",
            "segments",
            "us per change",
            {f"{size:,}": statistics.median(figures) for size, figures in by_size.items()},
        )
        for name, by_size in segment_index.measure(bench.rounds).items()
    ]


async def partitions(bench: Bench) -> list[Figures]:
    """The same events on more partitions: each carries a smaller part of every page."""
    rates: dict[str, dict[str, float]] = {"relay": {}, "consumer, before the write": {}}
    with bench.servers() as servers:
        plain = bench.settings(servers)
        create_schema(plain, "interactions")
        application = EventSourcedApplication(plain.eventsourcing_env("interactions"))
        last = store(application, events(customer_ids(relay.EVENTS), "growth"))
        sent = records(events(customer_ids(consumer.EVENTS), "growth"))
        measured: dict[str, Callable[[Any], Any]] = {
            "relay": lambda settings: relay.relayed(servers, settings, application, last),
            "consumer, before the write": consumer.consumed,
        }
        for number in PARTITIONS:
            settings = bench.settings(servers, kafka_partitions=number)
            for what, measure in measured.items():
                bench.report(f"{number} partitions: {what}")
                if what != "relay":
                    servers.broker.restart()
                    await consumer.publish(settings, sent)
                rates[what][str(number)] = statistics.median([await measure(settings) for _ in range(TIMES)])
        application.close()
    return [Figures(what, "partitions", "events/s", medians) for what, medians in rates.items()]


async def delays(bench: Bench) -> list[Figures]:
    """From a command to the customer 360, with all services on the machine, as commands come faster."""
    found: dict[str, dict[str, float]] = {"p50": {}, "p99": {}}
    stack = Stack(bench.new_folder())
    bench.report("starting the services")
    stack.start()
    try:
        await visible.fill(bench, stack)
        for rate in RATES:
            _, late = await visible.observe(bench, stack, RATE_SECONDS, rate)
            late.sort()
            found["p50"][str(rate)] = late[len(late) // 2] * 1000
            found["p99"][str(rate)] = late[int(len(late) * 0.99)] * 1000
    finally:
        stack.stop()
    return [
        Figures(f"command to visible 360, {name}", "commands per second", "ms", medians)
        for name, medians in found.items()
    ]


def markdown(results: list[dict[str, Any]]) -> str:
    """The table for the document."""
    lines = ["| what | grows | medians |", "| --- | --- | --- |"]
    for one in results:
        digits = ".1f" if one["unit"].startswith("us") else ",.0f"
        medians = "; ".join(f"{at}: {figure:{digits}}" for at, figure in one["medians"].items())
        lines.append(f"| {one['what']} | {one['by']} | {medians} {one['unit']} |")
    return "\n".join(lines)
