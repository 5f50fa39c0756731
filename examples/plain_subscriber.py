"""Prints every public event of contacts once; needs aiokafka, and nothing of Relata's.

After `make up`: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:8112 .venv/bin/python examples/plain_subscriber.py [topic ...]
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer


async def subscribe(servers: str, group: str, *topics: str) -> AsyncIterator[tuple[dict[str, str], Any]]:
    applied: dict[tuple[bytes, str], str] = {}  # yours belongs in your database, saved together with what you did
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer(*topics, bootstrap_servers=servers, group_id=group, **options) as consumer:
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            seen = (record.key, headers["ce_source"])
            if headers["ce_type"].endswith(".Watermark.v1"):
                pass  # concerns no customer; a subscriber skips every type that it has no use for
            elif headers["ce_sequence"] > applied.get(seen, ""):  # twenty digits: text sorts as numbers do
                yield headers, json.loads(record.value) if record.value else None
                applied[seen] = headers["ce_sequence"]
            await consumer.commit()


async def main(*topics: str) -> None:
    async for headers, data in subscribe(os.environ["KAFKA_BOOTSTRAP_SERVERS"], "my-system", *topics):
        print(headers["ce_type"], headers["ce_time"], data, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ["crm.contacts.events.v1"])))
