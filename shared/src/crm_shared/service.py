"""A service as a process: opens its connections, starts the roles it was asked for, stops them in order."""

import argparse
import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
import uvicorn
from fastapi import APIRouter
from psycopg import AsyncConnection, sql
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared import logs
from crm_shared.consumer import Consumer
from crm_shared.contracts.registry import service_of
from crm_shared.documents import Document
from crm_shared.domain import derived_id
from crm_shared.errors import RelataError, StoreUnavailable
from crm_shared.eventstore import EventSourcedApplication
from crm_shared.generations import Generations
from crm_shared.http.app import create_app
from crm_shared.http.operations import Check
from crm_shared.kafka import Kafka
from crm_shared.progress import Progress
from crm_shared.projection import Applier, DocumentProjection
from crm_shared.rebuild import Rebuild
from crm_shared.relay import Publication, Relay, StatePublishing
from crm_shared.settings import Settings
from crm_shared.writer import Writer

log = logging.getLogger(__name__)

ROLES = ("api", "relay", "project")


@dataclass(frozen=True)
class Definition:
    """What makes up one service; its `main.py` says it.

    `application` and `publish` are None for a service that owns no events. `projections` makes the appliers
    once the connections are open.
    """

    service: str
    description: str
    port: int
    routers: Sequence[APIRouter]
    application: Callable[[dict[str, str]], EventSourcedApplication] | None = None
    publish: Callable[[Any], Publication | None] | None = None
    states: StatePublishing | None = None
    projections: Callable[["Runtime"], Sequence[Applier]] = lambda _: ()


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
    def views(self) -> Generations:
        """The live generations of this service's views."""
        return Generations(self.database)

    def progress(self, projection: str) -> Progress:
        """The progress of one of this service's projections."""
        read = next(consumer.topics for consumer in self.consumers if consumer.name == projection)
        sources = frozenset(service_of(topic) for topic in read)
        return Progress(self.database, projection, self.views, sources=sources)

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
                    "lag": sum(one["lag"] for one in partitions),
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
        found = await exists.fetchone()
        if found is None or found[0] is None:
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
        if definition.application is not None:
            application = await asyncio.to_thread(_open_application, definition, settings)
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
        for applier in definition.projections(runtime):
            consumer = Consumer(applier, runtime.database, runtime.kafka)
            runtime.consumers.append(consumer)
            if "project" in roles:
                runtime.checks[f"projection {applier.name}"] = consumer.check
        yield runtime


async def serve(definition: Definition, settings: Settings, roles: Sequence[str]) -> None:
    """Run the roles until the process is told to stop (SIGINT or SIGTERM)."""
    async with open_runtime(definition, settings, roles) as runtime:
        _calm_garbage_collection()
        routers = definition.routers if "api" in roles else ()
        app = create_app(definition.service, definition.description, routers)
        app.state.runtime = runtime
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=10,
            )
        )
        work = [asyncio.create_task(runtime.relay.run(), name="relay")] if runtime.relay else []
        if "project" in roles:
            work += [asyncio.create_task(one.run(), name=one.name) for one in runtime.consumers]
        try:
            await server.serve()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


def _calm_garbage_collection() -> None:
    """Look for cycles less often, and never among what was there from the start.

    A batch makes tens of thousands of objects that live until it is stored; with Python's defaults, walking them
    again and again takes a fifth of an import's time. Rarer still would keep the bodies of past requests, which
    hang in a few cycles, for too long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


def run(definition: Definition, arguments: Sequence[str] | None = None) -> None:
    """The command line of a service: `<service>-service api|relay|project|run`, and `parked`, `release`."""
    parser = argparse.ArgumentParser(prog=f"{definition.service}-service", description=definition.description)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="all roles in one process")
    commands.add_parser("api", help="serve the HTTP interface")
    if definition.publish is not None:
        commands.add_parser("relay", help="publish the log to Kafka")
    commands.add_parser("project", help="build the views from Kafka")
    commands.add_parser("parked", help="list the customers whose events could not be applied")
    release = commands.add_parser("release", help="apply a parked customer's dead letters again")
    release.add_argument("projection")
    release.add_argument("customer_id")
    rebuild = commands.add_parser("rebuild", help="build a view again from history beside the live one, then switch")
    rebuild.add_argument("projection")
    rebuild.add_argument(
        "--accept-differences", action="store_true", help="switch although documents differ, as after a change of code"
    )
    parsed = parser.parse_args(arguments)

    settings = Settings()
    if "http_port" not in settings.model_fields_set:
        settings = settings.model_copy(update={"http_port": definition.port})
    logs.configure(definition.service, level=settings.log_level, style=settings.log_format)
    match parsed.command:
        case "parked":
            work = _print_parked(definition, settings)
        case "rebuild":
            work = _rebuild(definition, settings, parsed.projection, accept=parsed.accept_differences)
        case "release":
            work = _release(definition, settings, parsed.projection, parsed.customer_id)
        case role:
            work = serve(definition, settings, ROLES if role == "run" else (role,))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(work)
    except RelataError as error:
        parser.exit(1, f"{error.detail}\n")
    except KeyboardInterrupt:
        parser.exit(130)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _open_application(definition: Definition, settings: Settings) -> EventSourcedApplication:
    assert definition.application is not None
    try:
        # Processes of one service that start together would all create what is missing, and all but one fail.
        with _alone(settings, definition.service):
            create_schema(settings, definition.service)
            return definition.application(settings.eventsourcing_env(definition.service))
    except Exception as error:
        address = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_dbname}"
        raise StoreUnavailable(f"cannot open the event store at {address}: {error}") from error


def create_schema(settings: Settings, service: str) -> None:
    """Create the service's PostgreSQL schema if it is missing; the library creates the tables in it."""
    with psycopg.connect(**settings.postgres_connection(), autocommit=True) as connection:
        name = sql.Identifier(settings.schema_name(service))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))


@contextlib.contextmanager
def _alone(settings: Settings, service: str) -> Iterator[None]:
    """While no other process of the service is in here; a process that dies is no longer."""
    with psycopg.connect(**settings.postgres_connection(), autocommit=True) as connection:
        schema = settings.schema_name(service)
        connection.execute("SELECT pg_advisory_lock(%s)", (derived_id("tables", schema, service).int >> 65,))
        yield


async def _ping(client: AsyncMongoClient[Document]) -> None:
    await client.admin.command("ping")


async def _reach_postgres(settings: Settings) -> None:
    async with await AsyncConnection.connect(**settings.postgres_connection()) as connection:
        await connection.execute("SELECT 1")


async def _print_parked(definition: Definition, settings: Settings) -> None:
    async with open_runtime(definition, settings, ()) as runtime:
        for consumer in runtime.consumers:
            for one in await consumer.parking.report():
                print(f"{one['since']}  {one['projection']}  {one['customer_id']}  {one['reason']}")  # noqa: T201


async def _rebuild(definition: Definition, settings: Settings, projection: str, *, accept: bool) -> None:
    def show(done: int, total: int, events: int) -> None:
        print(f"partition {done} of {total}, {events:,} events folded", flush=True)  # noqa: T201

    async with open_runtime(definition, settings, ()) as runtime:
        found = next((one.applier for one in runtime.consumers if one.name == projection), None)
        if not isinstance(found, DocumentProjection):
            raise RelataError(f"{definition.service} has no projection {projection!r} that can be rebuilt")
        rebuild = Rebuild(found, runtime.database, runtime.kafka)
        rebuilt = await rebuild.fill(show)
        seen = rebuilt.comparison
        print(  # noqa: T201
            f"{seen.documents:,} documents: {seen.equal:,} equal, {seen.ahead:,} further on in the live view,"
            f" {seen.different:,} different, {seen.missing:,} missing in the live view"
        )
        if not seen.agrees and not accept:
            raise RelataError(
                f"not switched: look at {', '.join(seen.examples)}; --accept-differences switches all the same"
            )
        await rebuild.switch(rebuilt)
        print(f"generation {rebuilt.generation} is live")  # noqa: T201


async def _release(definition: Definition, settings: Settings, projection: str, customer_id: str) -> None:
    async with open_runtime(definition, settings, ()) as runtime:
        for consumer in runtime.consumers:
            if consumer.name == projection:
                await consumer.parking.request_release(customer_id)
                return
        raise RelataError(f"{definition.service} has no projection {projection!r}")
