"""Rebuilding a view from history, against its live projection: the customers of contacts, and the 360 with timeline."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

import contacts_service.projections
import contacts_service.publishing
import customer360_service.projections
from benchmarks.consumer import publish
from benchmarks.harness import Bench, Row, ratios
from benchmarks.live import History, projecting
from benchmarks.purchases import customer_ids, uniform
from contacts_service.domain import Customer
from contacts_service.domain.identifiers import Identifier
from crm_shared.contracts.envelope import Record, encode
from crm_shared.documents import Document
from crm_shared.kafka import Kafka
from crm_shared.projection import DocumentProjection
from crm_shared.rebuild import Rebuild
from crm_shared.settings import Settings

NAME = "rebuild"
CUSTOMERS = 2_000
PER_CUSTOMER = 15
LIVE_EVENTS = 3_000

More = Callable[[int], Sequence[Record]]


class Changes:
    """Customers that are identified, and then change their city time and again."""

    def __init__(self) -> None:
        self._position = 0
        self._customers = [
            Customer.identify(
                source="bench",
                identifiers=[Identifier("email", f"customer{number}@example.com", None)],
                details={"/profile/name": f"Customer {number}", "/profile/language": "en"},
                tags=["bench"],
            )
            for number in range(CUSTOMERS)
        ]
        self._by_id = {str(one.id): one for one in self._customers}
        self._draw = uniform(list(self._by_id), 7)

    def history(self) -> list[Record]:
        """Everything about one customer after the other."""
        return [record for one in self._customers for record in self._changed(one, PER_CUSTOMER - 1)]

    def more(self, number: int) -> list[Record]:
        """Further changes of customers drawn uniformly."""
        return [record for _ in range(number) for record in self._changed(self._by_id[self._draw()], 1)]

    def _changed(self, customer: Customer, times: int) -> list[Record]:
        for _ in range(times):
            self._position += 1
            customer.change_details({"/profile/address/city": f"City {self._position}"})
        made = []
        collected: Sequence[Any] = customer.collect_events()
        for event in collected:
            self._position += 1
            publication = contacts_service.publishing.publish(event)
            assert publication is not None
            made.append(encode(event, self._position, publication.key, publication.data))
        return made


async def run(bench: Bench) -> list[Row]:
    """History is read while the live projector stands by; the rebuilt view must equal the live one."""
    changes, purchases = Changes(), History()
    known = customer_ids(CUSTOMERS)
    draw = uniform(known, 7)
    each_often = (one for one in known for _ in range(PER_CUSTOMER))
    views = (
        (
            "rebuild",
            "rebuild of a view from history",
            contacts_service.projections.customers,
            changes.history,
            changes.more,
        ),
        (
            "rebuild-360",
            "the same of the 360, whose timeline has a row per event",
            customer360_service.projections.customers,
            lambda: purchases.more(CUSTOMERS * PER_CUSTOMER, lambda: next(each_often)),
            lambda number: purchases.more(number, draw),
        ),
    )
    found: list[Row] = []
    for name, what, view, history, more in views:
        with bench.servers() as servers:
            figures = await compare(bench, bench.settings(servers), view, history(), more)
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


async def compare(
    bench: Bench,
    settings: Settings,
    make: Callable[[AsyncDatabase[Document]], DocumentProjection],
    history: Sequence[Record],
    more: More,
) -> dict[str, list[float]]:
    """The rates of both sides."""
    async with (
        AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client,
        projecting(settings, client["bench"], make(client["bench"])) as view,
    ):
        bench.report(f"filling the view from {len(history):,} events")
        view.expect(len(history))
        await publish(settings, history)
        await view.wait()

        async def live() -> float:
            sent = more(LIVE_EVENTS)
            view.expect(len(sent))
            begin = time.perf_counter()
            await publish(settings, sent)
            await view.wait()
            return len(sent) / (time.perf_counter() - begin)

        async def rebuild() -> float:
            begin = time.perf_counter()
            rebuilt = await Rebuild(make(client["bench"]), client["bench"], Kafka(settings)).fill()
            taken = time.perf_counter() - begin
            assert rebuilt.comparison.agrees, rebuilt.comparison
            return rebuilt.events / taken

        return await bench.take_turns({"rebuild": rebuild, "live": live})
