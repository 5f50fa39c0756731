"""Adds up what customers spend, in a FastStream application; needs crm-contracts[faststream].

After `make up`: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:8112 .venv/bin/python examples/faststream_subscriber.py
"""

import asyncio
import os
from collections import defaultdict
from decimal import Decimal

from faststream import FastStream
from faststream.kafka import KafkaBroker

from crm_contracts import PublicEvent
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.faststream import dead_letter_topic, subscriber

broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"])
app = FastStream(broker)
spent: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)


@subscriber(
    broker,
    PurchaseRecorded,
    InteractionLogged,
    group="my-loyalty-system",
    dead_letter=dead_letter_topic(broker, "my-loyalty-system.dlq"),
)
async def add_up(event: PublicEvent) -> None:
    match event.payload:
        case PurchaseRecorded(customer_id=customer, total=total):
            spent[customer, total.currency] += Decimal(total.amount)
            print(customer, "has spent", spent[customer, total.currency], total.currency, flush=True)
        case InteractionLogged(customer_id=customer, channel=channel):
            print(customer, "was in touch by", channel, flush=True)


if __name__ == "__main__":
    asyncio.run(app.run())
