"""The hand-written pipeline as a side: its three programs on the three servers."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient

from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.handwritten import DATABASE, TOPIC
from benchmarks.peers.handwritten.schema import SCHEMA
from benchmarks.peers.side import Program, SeenSingly, Servers, Side, View, python
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

    def relay_alone(self) -> ManagedServer:
        return self._programs[1]

    def start(self) -> None:
        self._servers.start()
        environment = {
            **self._servers.postgres.environment(),
            **self._servers.broker.environment(),
            **self._servers.documents.environment(),
        }
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
            yield _Customers(store)


async def _make_topic(environment: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"])
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, int(environment["KAFKA_PARTITIONS"]), 1)])
    finally:
        await admin.close()


class _Customers(SeenSingly):
    """The documents of customers; a purchase has been applied when its row, which is written last, is there."""

    def __init__(self, store: AsyncMongoClient[Document]) -> None:
        super().__init__()
        self._customers = store[DATABASE]["customers"]
        self._timeline = store[DATABASE]["timeline"]

    async def highest(self) -> int:
        row = await self._timeline.find_one({}, {"_id": 1}, sort=[("_id", -1)])
        return int(row["_id"]) if row else 0

    async def found(self, positions: Sequence[int]) -> Sequence[int]:
        rows = self._timeline.find({"_id": {"$in": list(positions)}}, {"_id": 1})
        return [int(row["_id"]) async for row in rows]

    async def applied(self) -> int:
        return await self._timeline.count_documents({})

    async def counts(self) -> Counter[str]:
        return Counter({row["_id"]: row["purchases"] async for row in self._customers.find({}, {"purchases": 1})})
