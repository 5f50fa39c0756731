"""The open connections and running parts of one process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from eventsourcing.persistence import PersistenceError
from psycopg import AsyncConnection, sql
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.application.writer import Writer
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.http.operations import Check
from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import Document
from crm_shared.policies.decided_projection import DecidedProjection
from crm_shared.policies.policy import Policy, ViewPolicy
from crm_shared.policies.policy_consumer import PolicyConsumer
from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.process.definition import Definition
from crm_shared.process.event_store import open_application
from crm_shared.projections.consumer import Consumer
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import Generations
from crm_shared.projections.projection import Applier
from crm_shared.publishing.relay import Relay
from crm_shared.queries.views import Views
from crm_shared.settings import Settings


@dataclass
class Runtime:
    """The open connections and running parts of one process; endpoints reach it as `request.app.state.runtime`."""

    service: str
    settings: Settings
    database: AsyncDatabase[Document]
    kafka: Kafka
    _application: EventSourcedApplication | None = None
    _writer: Writer | None = None
    relay: Relay | None = None
    consumers: list[Consumer] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)

    @property
    def application(self) -> EventSourcedApplication:
        """The event-sourced application."""
        if self._application is None:
            raise RuntimeError(f"{self.service} owns no events")
        return self._application

    @property
    def writer(self) -> Writer:
        """The writer that runs commands."""
        if self._writer is None:
            raise RuntimeError(f"{self.service} owns no events")
        return self._writer

    @cached_property
    def generations(self) -> Generations:
        """Which generation of each of this service's views is live."""
        return Generations(self.database)

    @cached_property
    def views(self) -> Views:
        """This service's views, for queries."""
        return Views(self.database, self.kafka.partitions, self.last_position, self.generations, self._hurry)

    def _hurry(self, projection: str) -> None:
        for consumer in self.consumers:
            if consumer.name == projection:
                consumer.hurry()

    async def last_position(self) -> int:
        """The last position in the service's own log; raises `StoreUnavailable`."""
        try:
            return await asyncio.to_thread(self.application.recorder.max_notification_id) or 0
        except PersistenceError as error:
            raise StoreUnavailable(f"the event store cannot be read: {error}") from error

    async def status(self) -> dict[str, Any]:
        """What the store holds, what of it the broker has, and how far each projection is."""
        stored, last, published, cluster = await self._log_status()
        projections = []
        for consumer in self.consumers:
            partitions = await consumer.progress.report()
            projections.append(
                {
                    "name": consumer.name,
                    "topics": consumer.topics,
                    "lag": sum(partition["lag"] for partition in partitions),
                    "parked": len(await consumer.parking.report()),
                    "partitions": partitions,
                }
            )
        return {
            "service": self.service,
            "events_stored": stored,
            "last_position": last,
            "published_position": published,
            "cluster_id": cluster,
            "projections": projections,
        }

    async def _log_status(self) -> tuple[int, int, int | None, str | None]:
        if self._application is None:
            return 0, 0, None, None
        schema = self.settings.schema_name(self.service)
        table = self._application.ordered_recorder.events_table_name
        async with await AsyncConnection.connect(**self.settings.postgres_connection()) as connection:
            query = sql.SQL("SELECT count(*), coalesce(max(notification_id), 0) FROM {}")
            row = await (await connection.execute(query.format(sql.Identifier(schema, table)))).fetchone()
            assert row is not None
            published, cluster = await self._published(connection, schema)
        return int(row[0]), int(row[1]), published, cluster

    async def _published(self, connection: AsyncConnection[Any], schema: str) -> tuple[int | None, str | None]:
        exists = await connection.execute("SELECT to_regclass(%s)", (f"{schema}.relay_positions",))
        table = await exists.fetchone()
        if table is None or table[0] is None:
            return None, None
        newest = sql.SQL("SELECT position, cluster_id FROM {} ORDER BY updated_at DESC LIMIT 1")
        row = await (await connection.execute(newest.format(sql.Identifier(schema, "relay_positions")))).fetchone()
        return (int(row[0]), str(row[1])) if row else (None, None)


@contextlib.asynccontextmanager
async def open_runtime(definition: Definition, settings: Settings, roles: Sequence[str]) -> AsyncIterator[Runtime]:
    """Open what the roles need; closed in reverse order on the way out."""
    async with contextlib.AsyncExitStack() as stack:
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            settings.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=3_000, appname=definition.service
        )
        stack.push_async_callback(client.close)
        runtime = Runtime(
            service=definition.service,
            settings=settings,
            database=client[settings.database_name(definition.service)],
            kafka=Kafka(settings),
        )
        runtime.checks["mongodb"] = lambda: _ping(client)
        if definition.owns_events:
            application = await asyncio.to_thread(open_application, definition, settings)
            stack.callback(application.close)
            runtime._application = application
            runtime._writer = Writer(application)
            stack.callback(runtime._writer.close)
            runtime.checks["postgresql"] = lambda: _reach_postgres(settings)
        if "relay" in roles and definition.publish is not None:
            runtime.relay = Relay(
                service=definition.service,
                application=runtime.application,
                publish=definition.publish,
                states=definition.states,
                kafka=runtime.kafka,
                connection=settings.postgres_connection(),
                schema=settings.schema_name(definition.service),
            )
            runtime.checks["relay"] = runtime.relay.check
        for applier in _appliers(definition, runtime):
            consumer = Consumer(applier, runtime.database, runtime.kafka, runtime.generations)
            runtime.consumers.append(consumer)
            if "project" in roles:
                runtime.checks[f"projection {applier.name}"] = consumer.check
        yield runtime


def _appliers(definition: Definition, runtime: Runtime) -> Iterator[Applier]:
    """What events are handed to: the service's views, those with decisions among them, and its policies."""
    decided = {policy.view.name: policy for policy in definition.policies if isinstance(policy, ViewPolicy)}
    for projection in definition.projections:
        if (policy := decided.get(projection.name)) is not None:
            yield DecidedProjection(runtime, projection, policy)
        else:
            yield DocumentProjection(runtime.database, projection, partition_of=runtime.kafka.partition_of)
    for declared_policy in definition.policies:
        if isinstance(declared_policy, Policy):
            yield PolicyConsumer(definition.service, declared_policy, runtime.writer)


async def _ping(client: AsyncMongoClient[Document]) -> None:
    await client.admin.command("ping")


async def _reach_postgres(settings: Settings) -> None:
    async with await AsyncConnection.connect(**settings.postgres_connection()) as connection:
        await connection.execute("SELECT 1")
