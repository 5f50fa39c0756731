"""Rebuilding a view from history, against its live projection: the customers of contacts, and the 360 with timeline."""

import time

from pymongo import AsyncMongoClient

import contacts_service.projections
import customer360_service.projections
from benchmarks.changes import Changes, History, Purchases
from benchmarks.harness import Bench, Row, ratios
from benchmarks.live import projecting
from benchmarks.purchases import uniform
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Projection
from crm_shared.projections.generations import in_generation
from crm_shared.projections.rebuild import Rebuild
from crm_shared.settings import Settings

NAME = "rebuild"
CUSTOMERS = 2_000
PER_CUSTOMER = 15
LIVE_EVENTS = 3_000


async def run(bench: Bench) -> list[Row]:
    """History is read while the live projector stands by; the rebuilt view must equal the live one."""
    found: list[Row] = []
    for name, what, projection, history_of in (
        ("rebuild", "rebuild of contacts from history", contacts_service.projections.CUSTOMERS, Changes),
        ("rebuild-360", "rebuild of the 360 with timeline", customer360_service.projections.CUSTOMERS, Purchases),
    ):
        with bench.servers() as servers:
            figures = await compare(bench, bench.settings(servers), projection, history_of(CUSTOMERS, uniform))
        found.append(
            Row(
                name,
                what,
                "its live projection",
                ratios(figures["rebuild"], figures["live"]),
                20.0,
                absolute=figures,
                absolute_unit="events/s",
            )
        )
    return found


async def compare(bench: Bench, settings: Settings, projection: Projection, history: History) -> dict[str, list[float]]:
    """The rates of both sides."""
    async with (
        AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client,
        projecting(settings, client["bench"], DocumentProjection(client["bench"], projection)) as view,
    ):
        bench.report("filling the view")
        await view.take(settings, history.history(PER_CUSTOMER))

        async def rebuild() -> float:
            begin = time.perf_counter()
            view_of_history = DocumentProjection(client["bench"], projection)
            rebuilt = await Rebuild(view_of_history, client["bench"], Kafka(settings)).fill()
            taken = time.perf_counter() - begin
            assert rebuilt.comparison.agrees, rebuilt.comparison
            # It is not switched to; the next round is not to begin with removing it.
            for name in projection.collections:
                await client["bench"].drop_collection(in_generation(name, rebuilt.generation))
            return rebuilt.events / taken

        return await bench.take_turns(
            {"rebuild": rebuild, "live": lambda: view.take(settings, history.more(LIVE_EVENTS))}
        )
