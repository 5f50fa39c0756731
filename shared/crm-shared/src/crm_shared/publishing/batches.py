"""Records of one partition in as few batches as they fit in, sent one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from crm_contracts.envelope import Record
from crm_shared.observability import crash_points, metrics


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition that travel together."""

    topic: str
    partition: int
    records: int
    builder: BatchBuilder


def in_batches(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]) -> list[Batch]:
    """The records of one partition, in as few batches as they fit in."""
    batches: list[Batch] = []
    sent = 0
    while sent < len(records):
        builder = producer.create_batch()
        count = 0
        for record in islice(records, sent, None):
            if builder.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is None:
                break
            count += 1
        if count == 0:
            raise RuntimeError(f"a record for {topic} does not fit into a batch")
        builder.close()
        batches.append(Batch(topic, partition, count, builder))
        sent += count
    return batches


async def send_in_order(producer: AIOKafkaProducer, batches: Sequence[Batch]) -> None:
    """Send batches of one partition, each acknowledged before the next is sent."""
    for batch in batches:
        await (await producer.send_batch(batch.builder, batch.topic, partition=batch.partition))
        crash_points.reach("after_send")
        metrics.RELAY_PUBLISHED.labels(batch.topic).inc(batch.records)
