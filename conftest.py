"""Fixtures of every test tier: real servers once per run, fresh schemas and databases per test.

The servers are the embedded ones. With `--kafka` the broker is Apache Kafka, and with `--servers=containers` all three
are the real ones; then only the tests that use servers run, and with `--kafka` those of tests/kafka as well.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from crm_shared.application import Writer
from crm_shared.postgres import EventSourcedApplication
from crm_shared.process import ROLES, Definition, create_schema
from crm_shared.projections.consumer import Consumer
from crm_shared.settings import Settings
from crm_shared.testing.launching import Launched, launched
from relata_kafka import broker_factory, container_servers
from relata_local.errors import LocalError
from relata_local.servers import EmbeddedServers

# A consumer group on the embedded broker takes seconds to form, and longer when a member has just left.
PATIENCE_SECONDS = 30.0

ONLY_WITH_KAFKA = Path(__file__).parent / "tests" / "kafka"
MakeServers = Callable[[Path], EmbeddedServers]
SERVERS = pytest.StashKey[MakeServers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kafka", default="embedded", choices=("embedded", "apache", "testcontainers"))
    parser.addoption("--servers", default="embedded", choices=("embedded", "containers"))


def pytest_configure(config: pytest.Config) -> None:
    kafka = config.getoption("kafka")
    in_containers = config.getoption("servers") == "containers"
    if in_containers and kafka != "embedded":
        raise pytest.UsageError("--servers=containers brings a broker of its own: leave --kafka out")
    make: MakeServers
    try:
        make = container_servers() if in_containers else partial(EmbeddedServers, broker=broker_factory(kafka))
    except LocalError as error:
        raise pytest.UsageError(error.message) from None
    config.stash[SERVERS] = make


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == ONLY_WITH_KAFKA and config.getoption("kafka") == "embedded" else None


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    connected = [item for item in items if "servers" in getattr(item, "fixturenames", ())]
    for item in connected:
        item.add_marker(pytest.mark.servers)
    if config.getoption("kafka") != "embedded" or config.getoption("servers") != "embedded":
        items[:] = connected


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[EmbeddedServers]:
    """PostgreSQL, a broker and a MongoDB-protocol server: started from wheels, or what the options name."""
    with pytestconfig.stash[SERVERS](tmp_path_factory.mktemp("relata")) as running:
        yield running


@pytest.fixture
def broker(servers: EmbeddedServers) -> EmbeddedServers:
    """The servers with an empty broker: topics of earlier tests are gone. `broker.broker.restart()` wipes it again."""
    servers.broker.restart()
    return servers


@pytest.fixture
def settings_for(servers: EmbeddedServers) -> Callable[[str], Settings]:
    """Settings of a service with its own schema and database; the same again within one test."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    environment = {name.lower(): value for name, value in servers.environment().items()}

    def settings(service: str) -> Settings:
        return Settings(
            **environment,  # type: ignore[arg-type]  # the model parses the text of environment variables
            postgres_schema=f"{prefix}_{service}",
            mongodb_database=f"{prefix}_{service}",
            log_format="console",
        )

    return settings


@pytest.fixture
def open_event_store(settings_for: Callable[[str], Settings]) -> Iterator[Callable[[str], EventSourcedApplication]]:
    """Opens a service's event store, fresh; the same store again within one test."""
    with contextlib.ExitStack() as stack:

        def open_one(service: str) -> EventSourcedApplication:
            settings = settings_for(service)
            create_schema(settings, service)
            event_store = EventSourcedApplication(settings.eventsourcing_env(service))
            stack.callback(event_store.close)
            return event_store

        yield open_one


@pytest.fixture
def open_writer() -> Iterator[Callable[[EventSourcedApplication], Writer]]:
    """Opens writers that are closed after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(event_store: EventSourcedApplication) -> Writer:
            writer = Writer(event_store)
            stack.callback(writer.close)
            return writer

        yield open_one


Launch = Callable[..., Awaitable[Launched]]


@pytest_asyncio.fixture
async def launch(settings_for: Callable[[str], Settings]) -> AsyncIterator[Launch]:
    """Launches services in process: `await launch(DEFINITION)`, or with fewer `roles`."""
    async with contextlib.AsyncExitStack() as stack:

        async def launch_one(definition: Definition, *, roles: tuple[str, ...] = ROLES, **changes: Any) -> Launched:
            settings = settings_for(definition.service).model_copy(update=changes)
            return await stack.enter_async_context(launched(definition, settings, roles))

        yield launch_one


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """`await eventually(probe)`: calls an async probe until it returns something true, and returns that."""

    async def wait(probe: Callable[[], Awaitable[Any]], *, seconds: float = PATIENCE_SECONDS) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := await probe()):
                await asyncio.sleep(0.05)
        return found

    return wait


@pytest.fixture
def caught_up(eventually: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """`await caught_up(launched, position, of="contacts")`: until every projection has applied that position."""

    async def wait(launched: Launched, position: int, *, of: str) -> None:
        async def applied(consumer: Consumer) -> bool:
            partitions = (await consumer.progress.load()).values()
            return any(partition.done.get(of, 0) >= position for partition in partitions)

        for consumer in launched.runtime.consumers:
            await eventually(lambda consumer=consumer: applied(consumer))

    return wait


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The repository's root."""
    return Path(__file__).parent
