"""Relata itself: all five services, or only the two that this comparison needs."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import httpx
from pymongo import AsyncMongoClient

from benchmarks.peers.side import Side, settings_of
from benchmarks.peers.views import Sent, View
from benchmarks.visible import Watcher
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from relata_local import ServiceProcess, Stack
from relata_local.ports import free_port
from relata_local.processes import ManagedServer, start_all, stop_all
from relata_local.services import SERVICES

PER_PAGE = 500


class Relata(Side):
    """Each service with all its roles in one process, as `crm up` starts them."""

    name = "relata"
    title = f"Relata, {len(SERVICES)} services"
    kills_relay = True
    services: ClassVar[Sequence[str]] = SERVICES

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = Stack(folder, services=self.services)
        self._relay = ServiceProcess("interactions", free_port(), folder / "relay", self._stack.environment)
        self._relay.role = "relay"

    @property
    def url(self) -> str:
        return self._stack.url("interactions")

    @property
    def processes(self) -> Sequence[ManagedServer]:
        return [*self._stack.all, *([self._relay] if self._relay.running else [])]

    @property
    def projector(self) -> ManagedServer:
        return self._stack.services["customer360"]

    @property
    def _viewers(self) -> list[ManagedServer]:
        """The services that do nothing with purchases but keep views of them."""
        return [service for name, service in self._stack.services.items() if name in {"segmentation", "customer360"}]

    def start(self) -> None:
        self._stack.start()

    def stop(self) -> None:
        self._relay.stop()
        self._stack.stop()

    def take_only(self) -> None:
        stop_all(self._viewers)
        self._restart_interactions("api")

    def publish_again(self) -> None:
        self._restart_interactions("run")

    def project_again(self) -> None:
        start_all(self._viewers)

    def relay_alone(self) -> ManagedServer:
        self._restart_interactions("api")
        (self.folder / "relay").mkdir()
        self._relay.start()
        return self._relay

    def _restart_interactions(self, role: str) -> None:
        interactions = self._stack.services["interactions"]
        interactions.stop()
        interactions.role = role
        interactions.start()

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        servers = self._stack.servers
        kafka = Kafka(settings_of(servers.environment()))
        async with (
            AsyncMongoClient[Document](servers.mongodb_uri) as store,
            httpx.AsyncClient(base_url=self._stack.url("customer360"), timeout=30) as api,
        ):
            yield _Customers(store, api, kafka)


class RelataAlone(Relata):
    """What the other sides do: purchases, and one view of customers."""

    name = "relata2"
    title = "Relata, interactions and customer360 only"
    kills_projector = False
    kills_relay = False
    services = ("interactions", "customer360")


class _Customers(View):
    """The customer 360, by the progress that `?after=` waits for."""

    def __init__(self, store: AsyncMongoClient[Document], api: httpx.AsyncClient, kafka: Kafka) -> None:
        self._timeline = store["customer360"]["timeline"]
        self._api = api
        # Remembered: a hash in Python for each of thousands of purchases, again and again, would be felt.
        self._partition_of = cache(lambda customer: kafka.partition_of(customer.encode()))
        self._watcher = Watcher(store)

    async def look(self) -> None:
        await self._watcher.look()

    def visible_at(self, purchase: Sent) -> float | None:
        return self._watcher.visible_at(self._partition_of(purchase.customer), purchase.position)

    async def applied(self) -> int:
        return await self._timeline.estimated_document_count()

    async def counts(self) -> Counter[str]:
        found: Counter[str] = Counter()
        parameters = {"identified": "false", "limit": str(PER_PAGE)}
        while True:
            answer = await self._api.get("/v1/customers", params=parameters)
            answer.raise_for_status()
            page = answer.json()
            found.update({each["customer_id"]: each["purchases"]["count"] for each in page["items"]})
            if not page["next_cursor"]:
                return found
            parameters["cursor"] = page["next_cursor"]
