"""An import of 10,000 purchases over HTTP, against the same rows inserted by psycopg alone."""

import asyncio
import secrets
import time
from uuid import uuid4

import httpx
import psycopg

from benchmarks.harness import Bench, Row, ratios
from benchmarks.purchases import customer_ids, request_body
from crm_shared.settings import Settings
from relata_local.ports import free_port
from relata_local.services import ServiceProcess

NAME = "import"
LINES = 10_000
PER_COMMIT = 100

# Columns, key and index of the event store's own table.
_TABLE = """
CREATE TABLE raw_events (
    originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text, state bytea,
    notification_id bigserial, PRIMARY KEY (originator_id, originator_version));
CREATE UNIQUE INDEX raw_events_notification_id ON raw_events (notification_id)
"""
_INSERT = "INSERT INTO raw_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)"
_LATEST = (
    "SELECT originator_id, originator_version, topic, state FROM interactions.interactions_events"
    " ORDER BY notification_id DESC LIMIT %s"
)


async def run(bench: Bench) -> list[Row]:
    """The rows that psycopg inserts are those that the import before has stored."""
    with bench.servers() as servers:
        settings = bench.settings(servers)
        service = ServiceProcess("interactions", free_port(), bench.new_folder(), servers.environment)
        service.role = "api"
        service.start()
        try:
            with psycopg.connect(**settings.postgres_connection(), autocommit=True) as connection:
                connection.execute(_TABLE)
            await import_lines(service.address)
            figures = await bench.take_turns(
                {"import": lambda: import_lines(service.address), "psycopg": lambda: insert_rows(settings)}
            )
        finally:
            service.stop()
    return [
        Row(
            "import",
            f"import of {LINES:,} purchases",
            f"the same rows by psycopg alone, {PER_COMMIT} per commit",
            ratios(figures["import"], figures["psycopg"]),
            0.35,
            absolute=figures,
            absolute_unit="purchases/s",
        )
    ]


async def import_lines(url: str) -> float:
    """Purchases per second of one import."""
    prefix = secrets.token_hex(4)
    lines = [request_body(one, f"{prefix}-{number}") for number, one in enumerate(customer_ids(LINES))]
    body = b"\n".join(lines)
    async with httpx.AsyncClient(timeout=120) as client:
        begin = time.perf_counter()
        answer = await client.post(
            f"{url}/v1/purchases/import", content=body, headers={"content-type": "application/x-ndjson"}
        )
        taken = time.perf_counter() - begin
    assert answer.status_code == 200, answer.text
    assert answer.text.count('"created":true') == LINES, answer.text[:1000]
    return LINES / taken


async def insert_rows(settings: Settings) -> float:
    """Rows per second by `executemany`."""
    return await asyncio.to_thread(_insert_rows, settings)


def _insert_rows(settings: Settings) -> float:
    with psycopg.connect(**settings.postgres_connection()) as connection:
        stored = connection.execute(_LATEST, (LINES,)).fetchall()
        connection.commit()
        # Other ids, as scattered as those: the same import may be measured against twice.
        rows = [(uuid4(), *rest) for _, *rest in stored]
        begin = time.perf_counter()
        for start in range(0, LINES, PER_COMMIT):
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_INSERT, rows[start : start + PER_COMMIT])
        return LINES / (time.perf_counter() - begin)
