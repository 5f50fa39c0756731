"""Publishes the outbox: takes messages in order, sends them, and deletes them when the broker has acknowledged them.

A kill between acknowledgement and commit sends a page again: at least once.
"""

import asyncio
import os

import uvloop
from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from benchmarks.peers.conninfo import conninfo
from benchmarks.peers.handwritten import TOPIC

PAGE = 500
IDLE_SECONDS = 0.02
_TAKE = "SELECT id, customer_id, payload FROM outbox ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
_DELETE = "DELETE FROM outbox WHERE id = ANY(%s)"


async def relay() -> None:
    """Until cancelled."""
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all")
    async with producer, await AsyncConnection.connect(conninfo(os.environ)) as connection:
        while True:
            async with connection.transaction():
                cursor = await connection.execute(_TAKE, (PAGE,))
                page = await cursor.fetchall()
                if page:
                    sent = [
                        await producer.send(
                            TOPIC,
                            key=str(customer_id).encode(),
                            value=payload.encode(),
                            headers=[("content-type", b"application/json"), ("event-id", str(number).encode())],
                        )
                        for number, customer_id, payload in page
                    ]
                    await asyncio.gather(*sent)
                    await connection.execute(_DELETE, ([row[0] for row in page],))
            if not page:
                await asyncio.sleep(IDLE_SECONDS)


def main() -> None:
    """`python -m benchmarks.peers.handwritten.relay`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(relay())


if __name__ == "__main__":
    main()
