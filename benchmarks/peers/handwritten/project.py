"""Keeps the view: a document per customer and a row per purchase, one message at a time, as FastStream documents it.

Messages are acknowledged by FastStream's default, which lets the client commit what it has read every five seconds:
what a kill finds uncommitted comes again. The row is not written twice, for it has the event's id; `$inc` counts again.
"""

import asyncio
import logging
import os
from contextlib import suppress
from typing import Annotated

import uvloop
from bson.decimal128 import Decimal128
from faststream import FastStream, Header
from faststream.kafka import KafkaBroker
from pymongo import AsyncMongoClient, IndexModel
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from benchmarks.peers.handwritten import DATABASE, TOPIC
from benchmarks.peers.purchase_in import PurchaseIn

JOURNALED = WriteConcern(w="majority", j=True)

# FastStream writes two lines about each message unless told otherwise.
broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], log_level=logging.DEBUG)
app = FastStream(broker)
store: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(os.environ["MONGODB_URI"])
customers = store[DATABASE].get_collection("customers", write_concern=JOURNALED)
timeline = store[DATABASE].get_collection("timeline", write_concern=JOURNALED)


@broker.subscriber(
    TOPIC,
    group_id="customers",
    auto_offset_reset="earliest",
    # The embedded broker looks for news only when half of a wait has passed, and the default is 500 ms.
    # Much less, and the client would ask without a pause; our own readers pause by themselves, which FastStream cannot.
    fetch_max_wait_ms=20,
    # As short as our own: a group waits for a lost member for as long.
    session_timeout_ms=int(os.environ["KAFKA_SESSION_TIMEOUT_MS"]),
    heartbeat_interval_ms=int(os.environ["KAFKA_SESSION_TIMEOUT_MS"]) // 3,
)
async def purchase_recorded(purchase: PurchaseIn, event_id: Annotated[str, Header("event-id")]) -> None:
    """Apply one purchase."""
    customer_id, total = str(purchase.customer_id), purchase.total
    await customers.update_one(
        {"_id": customer_id},
        {
            "$inc": {"purchases": 1, f"spent.{total.currency}": Decimal128(total.amount)},
            "$max": {"last_purchase_at": purchase.occurred_at},
        },
        upsert=True,
    )
    with suppress(DuplicateKeyError):
        await timeline.insert_one(
            {
                "_id": int(event_id),
                "customer_id": customer_id,
                "occurred_at": purchase.occurred_at,
                "purchase": purchase.model_dump(mode="json", exclude_none=True),
            }
        )


@app.on_startup
async def make_indexes() -> None:
    """What a customer's timeline is read by."""
    await timeline.create_indexes([IndexModel(["customer_id", "occurred_at"])])


def main() -> None:
    """`python -m benchmarks.peers.handwritten.project`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.run())


if __name__ == "__main__":
    main()
