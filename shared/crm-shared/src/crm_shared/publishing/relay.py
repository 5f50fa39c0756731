"""The relay: reads the event store's log in order and publishes it to Kafka, once per service."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection
from psycopg import Error as PostgresError
from psycopg.rows import DictRow, args_row, dict_row
from psycopg.sql import SQL, Identifier

from crm_contracts.envelope import Record, encode
from crm_contracts.ids import derived_id
from crm_contracts.registry import events_topic, state_topic
from crm_shared.kafka.clients import heed_cancellation
from crm_shared.kafka.cluster_watch import cluster_id
from crm_shared.kafka.connection import Kafka, Topic
from crm_shared.observability import metrics
from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.postgres.recorder import LoggedEvent
from crm_shared.publishing.batches import Batch, in_batches, send_in_order
from crm_shared.publishing.positions import SAVE_SECONDS, Positions
from crm_shared.publishing.publication import Publication, StatePublishing
from crm_shared.publishing.states import States
from crm_shared.publishing.tasks import all_or_first_error
from crm_shared.publishing.watermarks import Watermarks

log = logging.getLogger(__name__)

PAGE = 1_000
# A page costs what it costs, however small: where more than one event comes in so long, the next one is later.
SECONDS_PER_EVENT = 0.004
LONGEST_GATHERING_SECONDS = 0.01
# So many events are rendered at a stretch, before others have their turn.
SLICE = 100
# The store tells when something was saved; this is for what else has to be looked at.
IDLE_POLL_SECONDS = 2.0
CLUSTER_CHECK_SECONDS = 2.0
STANDBY_SECONDS = 1.0
RETRY_SECONDS = 0.5


class ClusterChanged(Exception):
    """The broker's address now leads to another Kafka cluster."""


class Relay:
    """Publishes one service's log.

    Many may run; a PostgreSQL advisory lock lets one work. The position is saved now and then, on the connection that
    holds the lock, when the broker has acknowledged everything up to it; it belongs to one Kafka cluster id, so a new
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
        self._states = States(application, states) if states else None
        self._kafka = kafka
        self._connection = connection
        self._schema = schema
        self._channel = application.ordered_recorder.channel_name
        self._log_query = application.ordered_recorder.log_query
        self._lock_key = derived_id("relay", schema, service).int >> 65
        self.topics = [Topic(events_topic(service))]
        if states:
            self.topics.append(Topic(state_topic(service), compacted=True))
        self._watermarks = Watermarks(service, events_topic(service), kafka.partitions)
        # Everything recorded before this and not settled a while later has been sent.
        self._known_until = datetime.fromtimestamp(0, UTC)
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
            heed_cancellation()
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
        positions = Positions(lock, self._schema)
        await positions.create()
        # A position that is lost when the server dies leaves an earlier one: what came after it is sent again.
        await lock.execute("SET synchronous_commit TO off")
        await lock.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
        producer = self._kafka.producer()
        try:
            cluster = await self._prepare_topics()
            await producer.start()
            producer.keep_to(cluster)
            self._set_leading(True)
            self._moved_to(await positions.load(cluster))
            self._watermarks.restart()
            log.info("the relay publishes to cluster %s from position %d", cluster, self.position)
            async with await self._connect() as reader, self._kafka.watch.in_use() as watch:
                page = await self._next(reader, producer, self.position)
                looked_at = time.monotonic()
                while True:
                    heed_cancellation()
                    # Also while nothing happens: a cluster that was wiped needs its history back without a new event.
                    # A page needs no look of its own: the producer sends to no other cluster.
                    if time.monotonic() - looked_at >= CLUSTER_CHECK_SECONDS:
                        if (now := await watch.cluster()) != cluster:
                            raise ClusterChanged(f"{cluster} became {now}")
                        looked_at = time.monotonic()
                    if self._watermarks.due(self.position):
                        await self._watermarks.send(producer, self.position, self._known_until)
                    await positions.save(self.position)
                    if not page:
                        pause = IDLE_POLL_SECONDS if positions.saved == self.position else SAVE_SECONDS
                        await _notified(lock, self._watermarks.pause(self.position, pause))
                        page = await self._next(reader, producer, self.position)
                    elif page.events == PAGE:
                        # The next page is read and rendered while this one is on its way.
                        _, page = await all_or_first_error(
                            self._deliver(producer, page), self._next(reader, producer, page.last)
                        )
                    else:
                        begin = time.monotonic()
                        await self._deliver(producer, page)
                        # Where events come fast, more of them travel at once.
                        gathering = min(page.events * SECONDS_PER_EVENT, LONGEST_GATHERING_SECONDS)
                        await asyncio.sleep(max(0.0, begin + gathering - time.monotonic()))
                        page = None
        finally:
            # A successor need not send again what was acknowledged, where that can be said at once.
            saving = asyncio.wait_for(positions.save(self.position, now=True), SAVE_SECONDS)
            await asyncio.gather(saving, producer.stop(), return_exceptions=True)

    async def _prepare_topics(self) -> str:
        """Create the topics that are missing; the id of the cluster that they are in."""
        admin = self._kafka.admin()
        try:
            await self._kafka.start(admin)
            await self._kafka.ensure_topics(admin, self.topics)
            return await cluster_id(admin)
        finally:
            await admin.close()

    async def _deliver(self, producer: AIOKafkaProducer, page: "_Page") -> None:
        for part in page.parts:
            await all_or_first_error(*(send_in_order(producer, batches) for batches in part))
        self._moved_to(page.last)
        self._known_until = page.recorded_at
        self._watermarks.moved()

    def _moved_to(self, position: int) -> None:
        self.position = position
        metrics.RELAY_POSITION.set(position)

    async def _next(self, reader: AsyncConnection[DictRow], producer: AIOKafkaProducer, after: int) -> "_Page | None":
        """The page of the log after a position, ready to be sent; None when there is nothing."""
        looked_at = datetime.now(UTC)
        async with reader.cursor(row_factory=args_row(LoggedEvent), binary=True) as cursor:
            await cursor.execute(self._log_query, (after, PAGE), prepare=True)
            stored = await cursor.fetchall()
        if not stored:
            if after == self.position:
                self._known_until = looked_at
            return None
        events: list[tuple[Any, int]] = []
        records: list[Record] = []
        for start in range(0, len(stored), SLICE):
            # In between others have their turn, among them the page before, which is on its way.
            await asyncio.sleep(0)
            for stored_event in stored[start : start + SLICE]:
                event = self._application.domain_event(stored_event)
                events.append((event, stored_event.position))
                if (publication := self._publish(event)) is not None:
                    records.append(encode(event, stored_event.position, publication.key, publication.data))
        states = await asyncio.to_thread(self._states.render, events) if self._states else ()
        parts = [self._in_batches(producer, some) for some in (records, states)]
        return _Page(stored[-1].position, len(stored), events[-1][0].timestamp, parts)

    def _in_batches(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> "list[list[Batch]]":
        partitions = self._kafka.partitions_of(record.key for record in records)
        by_partition: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record.topic, partitions[record.key]].append(record)
        return [in_batches(producer, topic, partition, some) for (topic, partition), some in by_partition.items()]


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of the log, rendered: its last event's position and time of recording, and batches per partition.

    Batches of events come first, then those of states. A page that is full has more behind it.
    """

    last: int
    events: int
    recorded_at: datetime
    parts: list[list[list[Batch]]]


async def _notified(lock: AsyncConnection[DictRow], seconds: float) -> None:
    """Wait until the store says that something was saved, or so long."""
    async for _ in lock.notifies(timeout=seconds, stop_after=1):
        pass
