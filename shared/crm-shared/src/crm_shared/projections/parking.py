"""Parked customers: those whose event could not be applied, with their events in the dead-letter topic."""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from aiokafka import ConsumerRecord, TopicPartition
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.domain.errors import NotFound
from crm_shared.kafka.clients import Producer
from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import DURABLE, Document

COLLECTION = "parked_customers"
QUIET_MS = 500
log = logging.getLogger(__name__)


def dead_letter_topic(projection: str) -> str:
    """Where a projection puts what it could not apply."""
    return f"{projection}.dlq"


class Parking:
    """The parked customers of one projection, and the way there and back."""

    def __init__(self, database: AsyncDatabase[Document], projection: str, kafka: Kafka) -> None:
        self._collection: AsyncCollection[Document] = database.get_collection(COLLECTION, write_concern=DURABLE)
        self.projection = projection
        self._kafka = kafka
        self.topic = dead_letter_topic(projection)
        self.keys: set[str] = set()
        self._sender: Producer | None = None

    async def load(self) -> None:
        """Remember who is parked: called whenever partitions change hands."""
        self.keys = {
            customer["customer_id"] async for customer in self._collection.find({"projection": self.projection})
        }

    async def close(self) -> None:
        """Close what `park` and `send` have opened."""
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.stop()

    async def park(self, key: str, records: Sequence[ConsumerRecord], reason: str) -> None:
        """Send a customer's records to the dead-letter topic and note why; raises when they cannot be sent."""
        for record in records:
            await self.send(record, reason)
        now = datetime.now(UTC)
        await self._collection.update_one(
            {"_id": f"{self.projection}:{key}"},
            {
                "$set": {"reason": reason, "release_requested": False},
                "$setOnInsert": {
                    "projection": self.projection,
                    "customer_id": key,
                    "partition": self._kafka.partition_of(key.encode()),
                    "since": now,
                },
            },
            upsert=True,
        )
        self.keys.add(key)
        log.error("customer %s is parked in %s: %s", key, self.topic, reason)

    async def send(self, record: ConsumerRecord, reason: str) -> None:
        """One record, as it came, with where it came from and why it is here."""
        if self._sender is None:
            # Not before it is needed: most projections never park anybody.
            sender = self._kafka.producer()
            await sender.start()
            self._sender = sender
        headers = [
            *((name, value) for name, value in record.headers if not name.startswith("dlq_")),
            ("dlq_reason", reason[:1000].encode()),
            ("dlq_topic", record.topic.encode()),
            ("dlq_partition", str(record.partition).encode()),
            ("dlq_offset", str(record.offset).encode()),
        ]
        await self._sender.send_and_wait(
            self.topic, record.value, key=record.key, partition=record.partition, headers=headers
        )

    async def report(self) -> list[Document]:
        """Who is parked, since when and why, for operators."""
        cursor = self._collection.find({"projection": self.projection}).sort("since", 1)
        return [
            {
                "projection": customer["projection"],
                "customer_id": customer["customer_id"],
                "since": customer["since"].isoformat(),
                "reason": customer["reason"],
                "release_requested": customer["release_requested"],
            }
            async for customer in cursor
        ]

    async def request_release(self, key: str) -> None:
        """Ask the owner of the customer's partition to apply the dead letters again; `NotFound` if not parked."""
        result = await self._collection.update_one(
            {"_id": f"{self.projection}:{key}"}, {"$set": {"release_requested": True}}
        )
        if not result.matched_count:
            raise NotFound(f"customer {key} is not parked in {self.projection}")

    async def release_requests(self, partitions: set[int]) -> list[str]:
        """The customers of these partitions whose release was requested."""
        query = {"projection": self.projection, "release_requested": True}
        return [
            customer["customer_id"]
            async for customer in self._collection.find(query)
            if customer["partition"] in partitions
        ]

    async def unpark(self, key: str) -> None:
        """The customer's dead letters have been applied."""
        await self._collection.delete_one({"_id": f"{self.projection}:{key}"})
        self.keys.discard(key)
        log.info("customer %s is released from %s", key, self.topic)

    async def dead_letters(self, keys: Collection[str]) -> dict[str, list[ConsumerRecord]]:
        """Everything in the dead-letter topic for these customers, each one's in order; the topic is read once."""
        letters: dict[str, list[ConsumerRecord]] = {key: [] for key in keys}
        wanted = {key.encode(): records for key, records in letters.items()}
        partitions = [
            TopicPartition(self.topic, partition) for partition in {self._kafka.partition_of(key) for key in wanted}
        ]
        if not partitions:
            return letters
        consumer = self._kafka.consumer(group=None)
        await consumer.start()
        try:
            consumer.assign(partitions)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            while True:
                batches = await consumer.getmany(timeout_ms=QUIET_MS)
                for records in batches.values():
                    for record in records:
                        if record.key in wanted:
                            wanted[record.key].append(record)
                # Not every broker counts its latest batch to the end, so the end is where nothing more comes either.
                if not batches and all(
                    [await consumer.position(partition) >= ends[partition] for partition in partitions]
                ):
                    return letters
        finally:
            await consumer.stop()
