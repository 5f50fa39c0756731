"""Takes purchases: an endpoint on a thread per request, each saving its own aggregate."""

import asyncio
import sys
from uuid import UUID

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.eventsourced.purchases import Purchases
from benchmarks.peers.purchase_in import PurchaseIn

app = FastAPI()
purchases = Purchases()


class PurchaseOut(BaseModel):
    """The purchase is recorded."""

    purchase_id: UUID
    customer_id: UUID
    position: int


@app.post("/v1/purchases", status_code=201)
def record_purchase(body: PurchaseIn) -> PurchaseOut:
    """Answers when the event is committed."""
    purchase_id, position = purchases.record(body)
    return PurchaseOut(purchase_id=purchase_id, customer_id=body.customer_id, position=position)


def main() -> None:
    """`python -m benchmarks.peers.eventsourced.api <port>`."""
    config = uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
