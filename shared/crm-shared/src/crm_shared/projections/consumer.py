"""The consumer of a projection: batches from Kafka, each event applied once, offsets committed after the write."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from crm_contracts.envelope import EnvelopeError, PublicEvent, decode, place_of, type_of
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.kafka.connection import Kafka, Topic, cluster_id
from crm_shared.mongo.documents import Document
from crm_shared.observability import crash_points, metrics
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import Generations
from crm_shared.projections.layouts import bring_to_layout
from crm_shared.projections.parking import Parking
from crm_shared.projections.progress import PartitionProgress, Progress
from crm_shared.projections.projection import Applier

log = logging.getLogger(__name__)

MAX_RECORDS = 2_000
POLL_MS = 200
COMMIT_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0
POISON_ATTEMPTS = 3
POISON_BACKOFF_SECONDS = 0.05
STORE_BACKOFF_SECONDS = 0.5
# Their dead letters are held in memory, and other customers' events wait meanwhile.
RELEASED_AT_ONCE = 100
# So long the store or the broker may be away before the session is given up and made anew.
FORBEARANCE_SECONDS = 30.0


class StartOver(Exception):
    """Something changed that a membership in the group does not survive: the cluster, or the view's generation."""


class Consumer:
    """Feeds one `Applier` from Kafka, until cancelled.

    At least once: offsets are committed after the durable write, at most a second later. What cannot be applied
    is tried a few times, then parked with its customer. When a store or the broker cannot be reached it waits
    and goes on where it was. On a broker that has lost its history it starts at the beginning; the positions in
    the documents make that harmless.
    """

    def __init__(self, applier: Applier, database: AsyncDatabase[Document], kafka: Kafka) -> None:
        self.applier = applier
        self._database = database
        self._kafka = kafka
        self._generations = Generations(database)
        self.progress = Progress(database, applier.name, self._generations)
        self.parking = Parking(database, applier.name, kafka)
        self.ready = False
        self._trouble = ""

    @property
    def name(self) -> str:
        """The projection's permanent name."""
        return self.applier.name

    @property
    def topics(self) -> list[str]:
        """The topics that it reads."""
        return list(self.applier.topics)

    async def check(self) -> None:
        """Raise, with the reason, unless it is a member of the group and has been told its partitions."""
        if not self.ready:
            raise RuntimeError(self._trouble or "not yet a member of the consumer group")

    def hinder(self, trouble: str) -> None:
        """Say that it does not get on, and why."""
        self.ready = False
        self._trouble = trouble

    async def run(self) -> None:
        """Consume until cancelled."""
        beside = asyncio.create_task(self.applier.work())
        try:
            await self._consume()
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    async def _consume(self) -> None:
        while True:
            try:
                if isinstance(self.applier, DocumentProjection):
                    await bring_to_layout(self.applier.declared, self._database, self._kafka, self.hinder)
                await self.applier.prepare(await self._generations.live(self.applier.name))
                async with self._session() as session:
                    self._trouble = ""
                    await session.work()
            except StartOver as change:
                log.warning("%s starts over: %s", self.applier.name, change)
            except (KafkaError, PyMongoError, StoreUnavailable, OSError, TimeoutError) as error:
                self._trouble = repr(error)
                log.warning("%s will try again: %r", self.applier.name, error)
                await asyncio.sleep(STORE_BACKOFF_SECONDS)
            except Exception as error:
                self._trouble = str(error)
                log.exception("%s stumbled; it starts over from what is stored", self.applier.name)
                await asyncio.sleep(STORE_BACKOFF_SECONDS)
            finally:
                self.ready = False

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator["_Session"]:
        admin = self._kafka.admin()
        producer = self._kafka.producer()
        consumer = self._kafka.consumer(group=self.applier.name)
        async with contextlib.AsyncExitStack() as stack:
            # Each is stopped whatever becomes of the others, and should we be cancelled while one of them stops.
            for stop in (admin.close, producer.stop, consumer.stop):
                stack.push_async_callback(stop)
            await self._kafka.start(admin)
            topics = [Topic(name) for name in (*self.applier.topics, self.parking.topic)]
            await self._kafka.ensure_topics(admin, topics)
            await producer.start()
            await consumer.start()
            cluster = await cluster_id(admin)
            consumer.keep_to(cluster)
            session = _Session(self, consumer, producer, admin, cluster)
            consumer.subscribe(topics=list(self.applier.topics), listener=session)
            yield session


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One membership in the consumer group."""

    def __init__(
        self,
        owner: Consumer,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        admin: AIOKafkaAdminClient,
        cluster: str,
    ) -> None:
        self._owner = owner
        self._applier = owner.applier
        self._generations = owner._generations
        self._store = owner.progress.of(self._applier.generation)
        self._parking = owner.parking
        self._consumer = consumer
        self._producer = producer
        self._admin = admin
        self._cluster = cluster
        # What went wrong while partitions changed hands; aiokafka would only log it.
        self._failure: Exception | None = None
        self._progress: dict[int, PartitionProgress] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._committed_at = self._beaten_at = self._well_at = time.monotonic()
        # Held while a batch is applied, so that partitions change hands only between batches.
        self._busy = asyncio.Lock()
        # Another one for each assignment, none from revocation until the new positions are set.
        self._tenure: object | None = None

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish the batch, commit, and forget: the partitions may go to another member."""
        self._owner.ready = False
        self._tenure = None
        async with self._busy:
            await self._commit()
            self._applier.take_over(frozenset())
            self._progress.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over: who is parked, and where the view stands in this cluster; if that is unknown, at the beginning."""
        async with self._busy:
            try:
                await self._parking.load()
                known = await self._store.load()
            except Exception as error:  # without this knowledge nothing may be applied
                self._failure = error
                return
            for partition in assigned:
                progress = known.get(partition.partition) or PartitionProgress(partition.partition, self._cluster)
                if progress.cluster != self._cluster:
                    progress.cluster = self._cluster
                    progress.offsets.clear()
                self._progress[partition.partition] = known[partition.partition] = progress
                # Out of range, as after a retention, leads to the earliest record.
                self._consumer.seek(partition, progress.offsets.get(partition.topic, 0))
            self._applier.take_over(frozenset(self._progress))
            self._tenure = object()
            self._owner.ready = True

    async def work(self) -> None:
        """Apply batch after batch."""
        while True:
            if self._failure is not None:
                raise self._failure
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            tenure = self._tenure
            async with self._busy:
                if tenure is None or tenure is not self._tenure:
                    # Fetched from the group's offsets before the view's own were set: what lies between is not
                    # applied yet, and would be taken for stale afterwards. Reading starts again from the view's.
                    batches = {}
                records = [record for batch in batches.values() for record in batch]
                if records:
                    started = time.perf_counter()
                    await self._apply_until_stored(records)
                    metrics.PROJECTION_SECONDS.labels(self._applier.name).observe(time.perf_counter() - started)
                    crash_points.reach("after_view_write")
                for partition, batch in batches.items():
                    self._offsets[partition] = batch[-1].offset + 1
                    self._progress_of(partition.partition).offsets[partition.topic] = batch[-1].offset + 1
                await self._bear(self._note_progress({record.partition for record in records}))
                if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
                    await self._bear(self._commit())

    async def _apply_until_stored(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply a batch, however long its stores take to come back."""
        while True:
            try:
                await self._apply(records)
                return
            except (PyMongoError, StoreUnavailable) as error:
                log.warning("%s waits for its store: %s", self._applier.name, error)
                self._owner.hinder(repr(error))
                self._applier.take_over(frozenset(self._progress))
                await asyncio.sleep(STORE_BACKOFF_SECONDS)

    async def _apply(self, records: Sequence[ConsumerRecord]) -> None:
        events: list[PublicEvent] = []
        origins: list[ConsumerRecord] = []
        # The log positions that this batch passes, per partition and service.
        passed: dict[tuple[int, str], list[int]] = defaultdict(list)
        skipped = 0
        for record in records:
            if type_of(record.headers) not in self._applier.handles:
                skipped += 1
                # A query may wait for this position all the same: it cannot know what the view makes of it.
                if (place := place_of(record.headers)) is not None:
                    passed[record.partition, place[0]].append(place[1])
                continue
            if self._parking.keys and _key_of(record) in self._parking.keys:
                await self._parking.send(self._producer, record, "the customer is parked")
                self._count("parked")
                continue
            try:
                event = decode(record.key, record.value, record.headers)
            except EnvelopeError as error:
                await self._give_up(_key_of(record), [record], str(error))
                continue
            events.append(event)
            origins.append(record)
            passed[record.partition, event.service].append(event.sequence)
        failed = await self._try(events)
        if failed:
            source = {event.id: record for event, record in zip(events, origins, strict=True)}
            for key, (left, cause) in failed.items():
                await self._give_up(key, [source[event.id] for event in left], repr(cause))
        left_out = {(event.service, event.sequence) for left, _ in failed.values() for event in left}
        for (partition, service), positions in passed.items():
            applied = (
                [position for position in positions if (service, position) not in left_out] if left_out else positions
            )
            self._progress_of(partition).note(service, *applied)
        self._count("skipped", skipped)
        self._count("applied", len(events) - len(left_out))

    async def _try(self, events: Sequence[PublicEvent]) -> dict[str, tuple[list[PublicEvent], Exception]]:
        """Apply, and try again what fails; per key what is left in the end, and its error."""
        remaining = list(events)
        for attempt in range(1, POISON_ATTEMPTS + 1):
            failures = await self._applier.apply(remaining) if remaining else {}
            if not failures:
                return {}
            left = {
                key: remaining_of_key[remaining_of_key.index(failures[key].event) :]
                for key in failures
                if (remaining_of_key := [event for event in remaining if event.key == key])
            }
            if attempt == POISON_ATTEMPTS:
                return {key: (events_left, failures[key].error) for key, events_left in left.items()}
            remaining = [event for events_left in left.values() for event in events_left]
            await asyncio.sleep(POISON_BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    async def _give_up(self, key: str, records: Sequence[ConsumerRecord], reason: str) -> None:
        if key:
            await self._parking.park(self._producer, key, records, reason)
        else:
            for record in records:
                await self._parking.send(self._producer, record, reason)
        self._count("parked", len(records))

    async def _release(self) -> None:
        """Apply the dead letters of customers whose release was requested; many at once, and the others next time."""
        keys = (await self._parking.release_requests(set(self._progress)))[:RELEASED_AT_ONCE]
        events: list[PublicEvent] = []
        errors: dict[str, Exception] = {}
        for key, letters in (await self._parking.dead_letters(keys)).items():
            readable: list[PublicEvent] = []
            for letter in letters:
                try:
                    readable.append(decode(letter.key, letter.value, letter.headers))
                except EnvelopeError as unreadable:
                    errors[key] = unreadable
                    break
            # A crash can have left a later letter before an earlier one; per source the log's order is what counts.
            events += sorted(readable, key=lambda event: (event.service, event.sequence))
        errors |= {key: cause for key, (_, cause) in (await self._try(events)).items()}
        for key in keys:
            if key in errors:
                await self._parking.park(self._producer, key, [], repr(errors[key]))
            else:
                await self._parking.unpark(key)

    def _progress_of(self, partition: int) -> PartitionProgress:
        progress = self._progress.get(partition)
        if progress is None:
            progress = self._progress[partition] = PartitionProgress(partition, self._cluster)
        return progress

    async def _bear(self, work: Awaitable[None]) -> None:
        """Do what can as well be done later: that it fails for a moment does not end the membership.

        To form the group again takes longer than most networks need to come back, and what is neither noted nor
        committed now is so later: events are read again and found to be applied.
        """
        try:
            await work
        except (KafkaError, PyMongoError, OSError, TimeoutError) as error:
            if time.monotonic() - self._well_at >= FORBEARANCE_SECONDS:
                raise
            log.warning("%s waits: %r", self._applier.name, error)
            self._owner.hinder(repr(error))
            await asyncio.sleep(STORE_BACKOFF_SECONDS)

    async def _note_progress(self, touched: set[int]) -> None:
        beat = time.monotonic() - self._beaten_at >= HEARTBEAT_SECONDS
        if beat:
            self._beaten_at = time.monotonic()
            if (now := await cluster_id(self._admin)) != self._cluster:
                raise StartOver(f"the broker now belongs to another cluster: {self._cluster} became {now}")
            if (live := await self._generations.live(self._applier.name)) != self._applier.generation:
                raise StartOver(f"generation {live} of the view is live")
            await self._release()
            touched = set(self._progress)
            self._well_at = time.monotonic()
            self._owner.ready = self._tenure is not None
        if not touched:
            return
        lags = dict.fromkeys(touched, 0)
        for partition in self._consumer.assignment():
            if partition.partition in lags and (end := self._consumer.highwater(partition)) is not None:
                # As it is noted, not as the client has it: that would be waited for, and partitions change hands only
                # when nobody works on them.
                position = self._progress_of(partition.partition).offsets.get(partition.topic, 0)
                lags[partition.partition] += max(0, end - position)
        for number, lag in lags.items():
            self._progress_of(number).lag = lag
            metrics.PROJECTION_LAG.labels(self._applier.name, str(number)).set(lag)
        await self._store.save(self._progress_of(number) for number in touched)

    async def _commit(self) -> None:
        self._committed_at = time.monotonic()
        offsets = {
            topic_partition: offset
            for topic_partition, offset in self._offsets.items()
            if topic_partition in self._consumer.assignment()
        }
        self._offsets.clear()
        if offsets:
            crash_points.reach("before_commit")
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError) as error:
                # The group has moved on without us; the next owner reads these records again, harmlessly.
                log.info("offsets of %s were not committed: %s", self._applier.name, error)

    def _count(self, result: str, count: int = 1) -> None:
        metrics.PROJECTION_EVENTS.labels(self._applier.name, result).inc(count)


def _key_of(record: ConsumerRecord) -> str:
    return (record.key or b"").decode("utf-8", "replace")
