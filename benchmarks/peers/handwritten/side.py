"""The hand-written pipeline as a side: its three programs on the three servers."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient

from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.handwritten import DATABASE, TOPIC
from benchmarks.peers.handwritten.schema import SCHEMA
from benchmarks.peers.side import Program, Servers, Side, python, settings_of
from benchmarks.peers.views import CUSTOMERS, ByCustomer, View
from benchmarks.purchases import customer_ids
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from relata_local.processes import ManagedServer, start_all, stop_all


class HandWritten(Side):
    """An API, a relay and a projector, each a process."""

    name = "handwritten"
    title = "hand-written (FastAPI, outbox, polling relay, FastStream, PyMongo)"
    kills_relay = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._servers = Servers(folder, postgres=True, broker=True, documents=True)
        self._programs: list[Program] = []

    @property
    def url(self) -> str:
        return self._programs[0].address

    @property
    def processes(self) -> Sequence[ManagedServer]:
        return [*self._servers.all, *self._programs]

    @property
    def projector(self) -> ManagedServer:
        return self._programs[2]

    def take_only(self) -> None:
        stop_all(self._programs[1:])

    def publish_again(self) -> None:
        self._programs[1].start()

    def relay_alone(self) -> ManagedServer:
        return self._programs[1]

    def start(self) -> None:
        self._servers.start()
        environment = self._servers.environment()
        self._programs = [
            Program("api", self.folder, python("handwritten.api"), environment, serves=True),
            Program("relay", self.folder, python("handwritten.relay"), environment),
            Program("project", self.folder, python("handwritten.project"), environment),
        ]
        try:
            self._prepare(environment)
            start_all(self._programs)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        stop_all(self._programs)
        self._servers.stop()

    def _prepare(self, environment: dict[str, str]) -> None:
        """Make tables and the topic, as a deployment does."""
        with psycopg.connect(conninfo(environment), autocommit=True) as connection:
            connection.execute(SCHEMA)
        asyncio.run(_make_topic(environment))

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        async with AsyncMongoClient[Document](self._servers.documents.address) as store:
            yield _Customers(store, Kafka(settings_of(self._servers.environment())))


async def _make_topic(environment: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"])
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, int(environment["KAFKA_PARTITIONS"]), 1)])
    finally:
        await admin.close()


class _Customers(ByCustomer):
    """The documents of customers."""

    def __init__(self, store: AsyncMongoClient[Document], kafka: Kafka) -> None:
        super().__init__(customer_ids(CUSTOMERS), lambda customer: kafka.partition_of(customer.encode()))
        self._documents = store[DATABASE]["customers"]
        self._timeline = store[DATABASE]["timeline"]

    async def counts_of(self, customers: Collection[str]) -> Mapping[str, int]:
        return await self._counts({"_id": {"$in": list(customers)}})

    async def applied(self) -> int:
        return await self._timeline.estimated_document_count()

    async def counts(self) -> Counter[str]:
        return Counter(await self._counts({}))

    async def _counts(self, query: dict[str, Any]) -> dict[str, int]:
        found = self._documents.find(query, {"purchases": 1})
        return {row["_id"]: row["purchases"] async for row in found}
