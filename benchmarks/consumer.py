"""The consumer up to the write, against aiokafka's `getmany` and orjson alone."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count

import orjson
from aiokafka import TopicPartition
from pymongo import AsyncMongoClient

from benchmarks.harness import Bench, Row, ratios
from benchmarks.purchases import customer_ids, events, records
from benchmarks.relay import producing
from crm_contracts.envelope import PublicEvent, Record
from crm_contracts.registry import events_topic
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from crm_shared.projections import Failure
from crm_shared.projections.consumer import Consumer
from crm_shared.projections.progress_keeper import Note
from crm_shared.publishing.batches import in_batches, send_in_order
from crm_shared.settings import Settings

NAME = "consumer"
EVENTS = 40_000
TOPIC = events_topic("interactions")
HANDLES = frozenset({"crm.interactions.PurchaseRecorded.v1"})

_numbers = count()


class Nothing:
    """An applier that only counts what it is given."""

    topics = (TOPIC,)
    handles = HANDLES
    generation = 1
    gather_seconds = 0.0

    def __init__(self, name: str, expected: int) -> None:
        self.name = name
        self._expected = expected
        self.clock = Clock()
        self.done = asyncio.Event()

    async def prepare(self, generation: int) -> None:
        """Nothing to create."""

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        self.clock.note(len(events))
        if self.clock.total >= self._expected:
            self.done.set()
        return {}

    def sealed(self) -> None:
        """Nothing is held."""

    def take_over(self, partitions: frozenset[int]) -> None:
        """Nothing is held."""

    async def work(self) -> None:
        """Nothing beside."""


class Clock:
    """The rate between the first batch and the last one: connecting and joining a group do not count."""

    def __init__(self) -> None:
        self.total = 0
        self._before_first = 0
        self._begin = self._end = 0.0

    def note(self, number: int) -> None:
        self._end = time.perf_counter()
        self.total += number
        if not self._begin:
            self._begin, self._before_first = self._end, number

    @property
    def rate(self) -> float:
        return (self.total - self._before_first) / (self._end - self._begin)


async def run(bench: Bench) -> list[Row]:
    """Both read the same topic from its beginning."""
    with bench.servers() as servers:
        settings = bench.settings(servers)
        bench.report(f"publishing {EVENTS:,} events")
        await publish(settings, records(events(customer_ids(EVENTS), "consumer")))
        figures = await bench.take_turns({"consumer": lambda: consumed(settings), "aiokafka": lambda: got(settings)})
    return [
        Row(
            "consumer",
            "consumer, before the write",
            "aiokafka getmany(500) and orjson",
            ratios(figures["consumer"], figures["aiokafka"]),
            0.4,
            absolute=figures,
            absolute_unit="events/s",
        )
    ]


async def publish(settings: Settings, sent: Sequence[Record]) -> None:
    """Put records on their topic, which is one for all, as fast as it takes them."""
    kafka = Kafka(settings)
    topic = sent[0].topic
    by_partition: dict[int, list[Record]] = defaultdict(list)
    for record in sent:
        by_partition[kafka.partition_of(record.key)].append(record)
    async with producing(settings, topic) as producer:
        await asyncio.gather(
            *(
                send_in_order(producer, in_batches(producer, topic, partition, some))
                for partition, some in by_partition.items()
            )
        )


async def consumed(settings: Settings) -> float:
    """Events per second that a projection's consumer hands to an applier that does nothing."""
    nothing = Nothing(f"bench.nothing{next(_numbers)}", EVENTS)
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        work = asyncio.create_task(Consumer(nothing, client["bench"], Kafka(settings)).run())
        try:
            await asyncio.wait_for(nothing.done.wait(), 120)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return nothing.clock.rate


async def got(settings: Settings) -> float:
    """Events per second of plain reading and parsing."""
    kafka = Kafka(settings)
    clock = Clock()
    consumer = kafka.consumer(group=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(TOPIC, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while clock.total < EVENTS:
            batches = await consumer.getmany(timeout_ms=200, max_records=500)
            parsed = [orjson.loads(record.value) for batch in batches.values() for record in batch]
            if parsed:
                clock.note(len(parsed))
    finally:
        await consumer.stop()
    return clock.rate
