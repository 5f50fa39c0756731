"""Begins with a copy of every customer and keeps it complete: the state topic once, then the event topic.

After `make up`: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:8112 .venv/bin/python examples/bootstrap.py
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

EVENTS, STATES = "crm.contacts.events.v1", "crm.contacts.state.v1"
QUIET_MS = 1_000

State = dict[bytes, tuple[str, dict[str, Any]]]
"""Per key: the `ce_sequence` that the copy is as of, and the copy."""


async def note_watermarks(servers: str) -> dict[TopicPartition, int]:
    """First: where to follow the events from. Every event before has been sent to both topics."""
    noted: dict[TopicPartition, int] = {}
    async with AIOKafkaConsumer(EVENTS, bootstrap_servers=servers) as consumer:
        partitions = consumer.assignment()
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:  # where nothing happens the last record is a watermark; else the next soon comes
            consumer.seek(partition, max(begins[partition], ends[partition] - 1))
        while len(noted) < len(partitions):
            for partition, records in (await consumer.getmany(timeout_ms=QUIET_MS)).items():
                for record in records:
                    if dict(record.headers)["ce_type"].endswith(b".Watermark.v1"):
                        noted[partition] = record.offset + 1
    return noted


async def read_state(servers: str) -> State:
    """Then: the state topic to its end. The embedded broker understates ends, so silence has to confirm them."""
    state: State = {}
    async with AIOKafkaConsumer(STATES, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while True:
            batches = await consumer.getmany(timeout_ms=QUIET_MS)
            for record in (record for records in batches.values() for record in records):
                if record.value:
                    state[record.key] = (dict(record.headers)["ce_sequence"].decode(), json.loads(record.value))
                else:
                    state.pop(record.key, None)  # the customer was erased
            if not batches and all([await consumer.position(one) >= end for one, end in ends.items()]):
                return state


async def follow(
    servers: str, noted: dict[TopicPartition, int], state: State
) -> AsyncIterator[tuple[dict[str, str], dict[str, Any]]]:
    """At last: every event that the state does not hold yet, once, for ever."""
    applied = {key: sequence for key, (sequence, _) in state.items()}
    async with AIOKafkaConsumer(EVENTS, bootstrap_servers=servers) as consumer:
        for partition, offset in noted.items():
            consumer.seek(partition, offset)
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            # A watermark has no key; an event at or below the state's sequence is in the state already.
            if record.key and headers["ce_sequence"] > applied.get(record.key, ""):
                yield headers, json.loads(record.value)
                applied[record.key] = headers["ce_sequence"]


async def main() -> None:
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    noted = await note_watermarks(servers)
    state = await read_state(servers)
    print("there are", len(state), "customers", flush=True)
    async for headers, data in follow(servers, noted, state):
        print(headers["ce_type"], headers["ce_time"], data, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
