"""Raw limits of a command over HTTP: a trivial validated POST, and a save per request, each in a process of its own."""

import asyncio
import os
import sys
from typing import Any

import psycopg
import uvicorn
import uvloop
from eventsourcing.application import Application
from fastapi import APIRouter, FastAPI, Response

from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from interactions_service.api.models import PurchaseIn
from interactions_service.domain import Purchase

SCHEMA = "save_per_request"
CONNECTIONS = 32

router = api_router()


class SavePerRequest(Application[Any]):
    """The library's application as it comes: its own recorder and its own JSON."""

    name = "saves"
    is_snapshotting_enabled = False


@router.post("/v1/purchases")
async def trivial(body: PurchaseIn) -> Response:
    """Read, check, answer; nothing is stored."""
    facts = body.to_facts()
    return json_response(201, {"purchase_id": str(facts.id), "customer_id": facts.customer_id, "position": 1})


def saving() -> APIRouter:
    """An endpoint on a thread per request, each saving its own aggregate."""
    with psycopg.connect(
        host=os.environ["POSTGRES_HOST"],
        port=os.environ["POSTGRES_PORT"],
        dbname=os.environ["POSTGRES_DBNAME"],
        user=os.environ["POSTGRES_USER"],
        password=os.environ["POSTGRES_PASSWORD"],
        autocommit=True,
    ) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    application = SavePerRequest(
        {
            **os.environ,
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_SCHEMA": SCHEMA,
            "POSTGRES_POOL_SIZE": str(CONNECTIONS),
            "POSTGRES_MAX_OVERFLOW": "0",
        }
    )
    routes = api_router()

    @routes.post("/v1/purchases")
    def save(body: PurchaseIn) -> Response:
        purchase = Purchase.record(body.to_facts())
        recorded = application.save(purchase)
        position = recorded[-1].notification.id
        return json_response(
            201, {"purchase_id": str(purchase.id), "customer_id": purchase.customer_id, "position": position}
        )

    return routes


def main() -> None:
    """`python -m benchmarks.raw_http trivial|save <port>`."""
    kind, port = sys.argv[1:]
    app = FastAPI()
    app.include_router(router if kind == "trivial" else saving())
    config = uvicorn.Config(app, host="127.0.0.1", port=int(port), access_log=False, log_level="warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
