"""Takes purchases: one transaction per request stores the event and its message in the outbox."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import uvicorn
import uvloop
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.purchase_in import PurchaseIn

CONNECTIONS = 20
_EVENT = (
    "INSERT INTO events (purchase_id, customer_id, type, data) VALUES (%s, %s, 'PurchaseRecorded', %s) RETURNING id"
)
_MESSAGE = "INSERT INTO outbox (id, customer_id, payload) VALUES (%s, %s, %s)"


class PurchaseOut(BaseModel):
    """The purchase is recorded."""

    purchase_id: UUID
    customer_id: UUID
    position: int


pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
    conninfo(os.environ), min_size=CONNECTIONS, max_size=CONNECTIONS, open=False
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The pool is open while the server runs."""
    async with pool:
        await pool.wait()
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/purchases", status_code=201)
async def record_purchase(body: PurchaseIn) -> PurchaseOut:
    """Answers when the event and its message are committed."""
    purchase_id = uuid4()
    payload = body.model_dump_json()
    async with pool.connection() as connection:
        cursor = await connection.execute(_EVENT, (purchase_id, body.customer_id, payload))
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(_MESSAGE, (row[0], body.customer_id, payload))
    return PurchaseOut(purchase_id=purchase_id, customer_id=body.customer_id, position=row[0])


def main() -> None:
    """`python -m benchmarks.peers.handwritten.api <port>`."""
    config = uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
