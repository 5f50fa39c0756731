"""Prints every public event of contacts once: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 python subscriber.py"""

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
            if headers["ce_sequence"] > applied.get(seen, ""):  # twenty digits: text sorts as numbers do
                yield headers, json.loads(record.value) if record.value else None
                applied[seen] = headers["ce_sequence"]
            await consumer.commit()


async def main() -> None:
    async for headers, data in subscribe(os.environ["KAFKA_BOOTSTRAP_SERVERS"], "my-system", "crm.contacts.events.v1"):
        sys.stdout.write(f"{headers['ce_type']} {headers['ce_time']} {data}\n")


if __name__ == "__main__":
    asyncio.run(main())
