"""Opening a service's event store, by one process at a time: the first creates what is missing."""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import sql

from crm_contracts.ids import derived_id
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.process.definition import Definition
from crm_shared.settings import Settings


def open_application(definition: Definition, settings: Settings) -> EventSourcedApplication:
    try:
        # Processes of one service that start together would all create what is missing, and all but one fail.
        with _alone(settings, definition.service):
            create_schema(settings, definition.service)
            return EventSourcedApplication(settings.eventsourcing_env(definition.service))
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
