"""The relay: reads the event store's log in order and publishes it to Kafka, once per service."""

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from psycopg import AsyncConnection
from psycopg import Error as PostgresError
from psycopg.rows import DictRow, args_row, dict_row
from psycopg.sql import SQL, Identifier

from crm_shared import crash_points, metrics
from crm_shared.contracts.envelope import Record, encode
from crm_shared.contracts.registry import EventData, events_topic, state_topic
from crm_shared.domain import Aggregate, derived_id
from crm_shared.eventstore import EventSourcedApplication, LoggedEvent
from crm_shared.kafka import Kafka, Topic, cluster_id
from crm_shared.tasks import all_or_first_error

log = logging.getLogger(__name__)

PAGE = 1_000
# So many events are rendered at a stretch: 3 ms or so.
SLICE = 100
IDLE_POLL_SECONDS = 0.5
CLUSTER_CHECK_SECONDS = 2.0
STANDBY_SECONDS = 1.0
RETRY_SECONDS = 0.5
AGGREGATES_KEPT = 2_000


class Publication(NamedTuple):
    """What a stored event says in public: the record key (a customer id, or a definition's own) and the payload."""

    key: str
    data: EventData


@dataclass(frozen=True, slots=True)
class StatePublishing:
    """How a service's compacted state topic is rendered: from which aggregate, and what it says."""

    aggregate: type[Aggregate]
    render: Callable[[Any], Publication]


class ClusterChanged(Exception):
    """The broker's address now leads to another Kafka cluster."""


class Relay:
    """Publishes one service's log.

    Many may run; a PostgreSQL advisory lock lets one work. The position is saved, on the connection that holds
    the lock, after the broker has acknowledged everything up to it; it belongs to one Kafka cluster id, so a new
    cluster gets the whole history. Within a page each partition's records are sent one batch after the other, so
    a retry can repeat records but never let a later one overtake an earlier one of the same key.
    """

    def __init__(
        self,
        *,
        service: str,
        application: EventSourcedApplication,
        publish: Callable[[Any], Publication | None],
        states: StatePublishing | None,
        kafka: Kafka,
        connection: dict[str, Any],
        schema: str,
    ) -> None:
        self._service = service
        self._application = application
        self._publish = publish
        self._states = _States(application, states) if states else None
        self._kafka = kafka
        self._connection = connection
        self._schema = schema
        self._channel = application.ordered_recorder.channel_name
        self._log_query = application.ordered_recorder.log_query
        self._lock_key = derived_id("relay", schema, service).int >> 65
        self.topics = [Topic(events_topic(service))]
        if states:
            self.topics.append(Topic(state_topic(service), compacted=True))
        self.leading = False
        self.standing_by = False
        self.position = 0
        self._trouble = "starting"

    async def check(self) -> None:
        """Raise, with the reason, unless this relay publishes, or stands by while another one does."""
        if not (self.leading or self.standing_by):
            raise RuntimeError(f"not publishing: {self._trouble}")

    async def run(self) -> None:
        """Work until cancelled: wait for the lock, publish, and start over when a store or the broker fails."""
        while True:
            try:
                async with await self._connect() as lock:
                    if await self._acquire(lock):
                        await self._lead(lock)
                    else:
                        self.standing_by = True
                        await asyncio.sleep(STANDBY_SECONDS)
            except ClusterChanged as change:
                log.warning("the broker now belongs to another cluster; publishing the whole history to it: %s", change)
            except (PostgresError, KafkaError, OSError, TimeoutError) as error:
                self.standing_by = False
                self._trouble = str(error)
                log.warning("the relay will try again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                # An event that cannot be rendered must stop the log, not be skipped; the operator sees why.
                self._trouble = str(error)
                log.exception("the relay cannot go on; it will try again")
                await asyncio.sleep(10 * RETRY_SECONDS)
            finally:
                if self.leading:
                    self._set_leading(False)

    async def _connect(self) -> AsyncConnection[DictRow]:
        return await AsyncConnection.connect(**self._connection, autocommit=True, row_factory=dict_row)

    async def _acquire(self, lock: AsyncConnection[DictRow]) -> bool:
        cursor = await lock.execute("SELECT pg_try_advisory_lock(%s) AS held", (self._lock_key,))
        row = await cursor.fetchone()
        return bool(row and row["held"])

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        self.standing_by = False
        metrics.RELAY_LEADER.set(1 if leading else 0)

    async def _lead(self, lock: AsyncConnection[DictRow]) -> None:
        positions = _Positions(lock, self._schema)
        await positions.create()
        # A position that is lost when the server dies leaves an earlier one: what came after it is sent again.
        await lock.execute("SET synchronous_commit TO off")
        await lock.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
        producer, admin = self._kafka.producer(), self._kafka.admin()
        try:
            await self._kafka.start(admin)
            cluster = await cluster_id(admin)
            await self._kafka.ensure_topics(admin, self.topics)
            await producer.start()
            producer.keep_to(cluster)
            self._set_leading(True)
            self._moved_to(await positions.load(cluster))
            log.info("the relay publishes to cluster %s from position %d", cluster, self.position)
            async with await self._connect() as reader:
                page = await self._next(reader, producer, self.position)
                looked_at = time.monotonic()
                while True:
                    # Also while nothing happens: a cluster that was wiped needs its history back without a new event.
                    # A page needs no look of its own: the producer sends to no other cluster.
                    if time.monotonic() - looked_at >= CLUSTER_CHECK_SECONDS:
                        if (now := await cluster_id(admin)) != cluster:
                            raise ClusterChanged(f"{cluster} became {now}")
                        looked_at = time.monotonic()
                    if not page:
                        await _notified(lock)
                        page = await self._next(reader, producer, self.position)
                        continue
                    # The next page is read and rendered while this one is on its way.
                    _, page = await all_or_first_error(
                        self._deliver(producer, page, positions, cluster), self._next(reader, producer, page.last)
                    )
        finally:
            await producer.stop()
            await admin.close()

    async def _deliver(self, producer: AIOKafkaProducer, page: "_Page", positions: "_Positions", cluster: str) -> None:
        for part in page.parts:
            await all_or_first_error(*(send_in_order(producer, batches) for batches in part))
        crash_points.reach("before_position")
        await positions.save(cluster, page.last)
        self._moved_to(page.last)

    def _moved_to(self, position: int) -> None:
        self.position = position
        metrics.RELAY_POSITION.set(position)

    async def _next(self, reader: AsyncConnection[DictRow], producer: AIOKafkaProducer, after: int) -> "_Page | None":
        """The page of the log after a position, ready to be sent; None when there is nothing."""
        async with reader.cursor(row_factory=args_row(LoggedEvent), binary=True) as cursor:
            await cursor.execute(self._log_query, (after, PAGE), prepare=True)
            stored = await cursor.fetchall()
        if not stored:
            return None
        events: list[tuple[Any, int]] = []
        records: list[Record] = []
        for start in range(0, len(stored), SLICE):
            # In between others have their turn, among them the page before, which is on its way.
            await asyncio.sleep(0)
            for one in stored[start : start + SLICE]:
                event = self._application.domain_event(one)
                events.append((event, one.position))
                if (publication := self._publish(event)) is not None:
                    records.append(encode(event, one.position, publication.key, publication.data))
        states = await asyncio.to_thread(self._states.render, events) if self._states else ()
        return _Page(stored[-1].position, [self._in_batches(producer, some) for some in (records, states)])

    def _in_batches(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> "list[list[_Batch]]":
        partitions = self._kafka.partitions_of(record.key for record in records)
        by_partition: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record.topic, partitions[record.key]].append(record)
        return [in_batches(producer, topic, partition, some) for (topic, partition), some in by_partition.items()]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of one partition that travel together."""

    topic: str
    partition: int
    records: int
    builder: BatchBuilder


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of the log, rendered: its last position, and batches per partition, first of events, then of states."""

    last: int
    parts: list[list[list[_Batch]]]


def in_batches(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]) -> list[_Batch]:
    """The records of one partition, in as few batches as they fit in."""
    batches: list[_Batch] = []
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
        batches.append(_Batch(topic, partition, count, builder))
        sent += count
    return batches


async def send_in_order(producer: AIOKafkaProducer, batches: Sequence[_Batch]) -> None:
    """Send batches of one partition, each acknowledged before the next is sent."""
    for batch in batches:
        await (await producer.send_batch(batch.builder, batch.topic, partition=batch.partition))
        crash_points.reach("after_send")
        metrics.RELAY_PUBLISHED.labels(batch.topic).inc(batch.records)


async def _notified(lock: AsyncConnection[DictRow]) -> None:
    """Wait until the store says that something was saved, or a moment has passed."""
    async for _ in lock.notifies(timeout=IDLE_POLL_SECONDS, stop_after=1):
        return


class _Positions:
    """Where the relay stands, per Kafka cluster, in a table beside the log."""

    def __init__(self, connection: AsyncConnection[DictRow], schema: str) -> None:
        self._connection = connection
        self._table = Identifier(schema, "relay_positions")

    async def create(self) -> None:
        await self._connection.execute(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} (cluster_id text PRIMARY KEY, position bigint NOT NULL,"
                " updated_at timestamptz NOT NULL DEFAULT now())"
            ).format(self._table)
        )

    async def load(self, cluster: str) -> int:
        query = SQL("SELECT position FROM {} WHERE cluster_id = %s").format(self._table)
        row = await (await self._connection.execute(query, (cluster,))).fetchone()
        return int(row["position"]) if row else 0

    async def save(self, cluster: str, position: int) -> None:
        query = SQL(
            "INSERT INTO {} (cluster_id, position) VALUES (%s, %s)"
            " ON CONFLICT (cluster_id) DO UPDATE SET position = excluded.position, updated_at = now()"
        ).format(self._table)
        await self._connection.execute(query, (cluster, position))


class _States:
    """Renders state records: the last state of each aggregate that a page touches, as of its last event there."""

    def __init__(self, application: EventSourcedApplication, states: StatePublishing) -> None:
        self._application = application
        self._states = states
        self._kept: OrderedDict[UUID, Aggregate] = OrderedDict()

    def render(self, events: Sequence[tuple[Any, int]]) -> list[Record]:
        last: dict[UUID, tuple[Any, int]] = {}
        for event, position in events:
            if isinstance(event, self._states.aggregate.Event):
                self._advance(event)
                last[event.originator_id] = (event, position)
        records = []
        for stream_id, (event, position) in last.items():
            publication = self._states.render(self._kept[stream_id])
            records.append(encode(event, position, publication.key, publication.data))
        while len(self._kept) > AGGREGATES_KEPT:
            self._kept.popitem(last=False)
        return records

    def _advance(self, event: Any) -> None:
        stream_id: UUID = event.originator_id
        held = self._kept.get(stream_id)
        version = held.version if held else 0
        if version == event.originator_version - 1:
            held = event.mutate(held)
        elif version < event.originator_version:
            for older, _ in self._application.load({stream_id: version}):
                if older.originator_version <= event.originator_version:
                    held = older.mutate(held)
        else:
            # Sent again after a failure: the state as of an earlier event has to be built anew.
            held = None
            for older, _ in self._application.load({stream_id: 0}):
                if older.originator_version <= event.originator_version:
                    held = older.mutate(held)
        assert held is not None
        self._kept[stream_id] = held
        self._kept.move_to_end(stream_id)
