"""One membership in the consumer group of a projection: batches from Kafka, each event applied once."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from pymongo.errors import PyMongoError

from crm_contracts.envelope import EnvelopeError, PublicEvent, decode, place_of, type_of
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.kafka.clients import heed_cancellation
from crm_shared.kafka.connection import Kafka
from crm_shared.observability import crash_points, metrics
from crm_shared.projections.progress import PartitionProgress
from crm_shared.projections.progress_keeper import Displaced, Note, ProgressKeeper

if TYPE_CHECKING:
    from crm_shared.projections.consumer import Consumer

log = logging.getLogger(__name__)

MAX_RECORDS = 2_000
POLL_MS = 1_000
COMMIT_SECONDS = 1.0
BEAT_SECONDS = 2.0
POISON_ATTEMPTS = 3
POISON_BACKOFF_SECONDS = 0.05
STORE_BACKOFF_SECONDS = 0.5
# Their dead letters are held in memory, and other customers' events wait meanwhile.
RELEASED_AT_ONCE = 100
# So long the broker may be away before the membership is given up and made anew.
FORBEARANCE_SECONDS = 30.0

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]
# The log positions that a batch passes, per partition and service.
Passed = Mapping[tuple[int, str], Sequence[int]]


class StartOver(Exception):
    """Something changed that a membership in the group does not survive: the cluster, or the view's generation."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One membership in the consumer group."""

    def __init__(
        self, owner: "Consumer", keeper: ProgressKeeper, consumer: AIOKafkaConsumer, kafka: Kafka, cluster: str
    ) -> None:
        self._owner = owner
        self._applier = owner.applier
        self._parking = owner.parking
        self._keeper = keeper
        self._consumer = consumer
        self._kafka = kafka
        self._cluster = cluster
        # What went wrong while partitions changed hands; aiokafka would only log it.
        self._failure: Exception | None = None
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
            try:
                await self._commit()
            except (Displaced, KafkaError, PyMongoError, TimeoutError) as error:
                log.info("offsets of %s were not committed: %r", self._applier.name, error)
            self._applier.take_over(frozenset())
            self._keeper.give_up()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over: who is parked, and where the view stands in this cluster; if that is unknown, at the beginning."""
        async with self._busy:
            try:
                await self._parking.load()
                await self._go_on_from_what_is_stored(list(assigned))
            except Exception as error:  # without this knowledge nothing may be applied
                self._failure = error

    async def _go_on_from_what_is_stored(self, assigned: Sequence[TopicPartition]) -> None:
        await self._keeper.take_over({partition.partition for partition in assigned}, self._cluster)
        self._offsets.clear()
        for partition in assigned:
            # Out of range, as after a retention, leads to the earliest record.
            offsets = self._keeper.progress[partition.partition].offsets
            self._consumer.seek(partition, offsets.get(partition.topic, 0))
        self._applier.take_over(frozenset(self._keeper.progress))
        self._tenure = object()
        self._owner.ready = True

    async def work(self) -> None:
        """Apply batch after batch."""
        while True:
            heed_cancellation()
            if self._failure is not None:
                raise self._failure
            batches: Batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            tenure = self._tenure
            async with self._busy:
                try:
                    # Else fetched from the group's offsets before the view's own were set: what lies between is not
                    # applied yet, and would be taken for stale afterwards. Reading starts again from the view's.
                    if batches and tenure is not None and tenure is self._tenure:
                        started = time.perf_counter()
                        await self._apply(batches)
                        metrics.PROJECTION_SECONDS.labels(self._applier.name).observe(time.perf_counter() - started)
                    if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
                        await self._bear(self._commit())
                    await self._bear(self._look_around())
                except (Displaced, PyMongoError, StoreUnavailable) as error:
                    await self._resume(error)

    async def _resume(self, error: Exception) -> None:
        """Go on from what is stored, however long the store takes to come back."""
        while True:
            heed_cancellation()
            log.warning("%s goes on from what is stored: %r", self._applier.name, error)
            self._owner.hinder(repr(error))
            await asyncio.sleep(STORE_BACKOFF_SECONDS)
            try:
                await self._go_on_from_what_is_stored(sorted(self._consumer.assignment()))
                return
            except PyMongoError as again:
                error = again

    async def _apply(self, batches: Batches) -> None:
        events: list[PublicEvent] = []
        origins: list[ConsumerRecord] = []
        passed: dict[tuple[int, str], list[int]] = defaultdict(list)
        complete: dict[tuple[int, str], int] = {}
        skipped = 0
        for records in batches.values():
            for record in records:
                if type_of(record.headers) not in self._applier.handles:
                    skipped += 1
                    if (place := place_of(record.headers)) is not None:
                        if record.key is None:
                            # A watermark. It is in every partition, so it does not say that the very event was.
                            complete[record.partition, place[0]] = place[1]
                        else:
                            # A query may wait for this position all the same: it cannot know what the view makes of it.
                            passed[record.partition, place[0]].append(place[1])
                    continue
                if self._parking.keys and _key_of(record) in self._parking.keys:
                    await self._parking.send(record, "the customer is parked")
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
        note = self._note(batches, passed, complete)
        failed = await self._try(events, note)
        left_out = {(event.service, event.sequence) for left, _ in failed.values() for event in left}
        if failed:
            source = {event.id: record for event, record in zip(events, origins, strict=True)}
            for key, (left, cause) in failed.items():
                await self._give_up(key, [source[event.id] for event in left], repr(cause))
            note = self._note(batches, _without(left_out, passed), complete)
        crash_points.reach("after_view_write")
        if not note.stored:
            await note.save()
        self._noted(note, batches)
        self._count("skipped", skipped)
        self._count("applied", len(events) - len(left_out))

    def _note(self, batches: Batches, passed: Passed, complete: Mapping[tuple[int, str], int]) -> Note:
        """How far a batch brings the partitions that it touches."""
        numbers = {partition.partition for partition in batches}
        touched = {number: self._keeper.progress[number].copy() for number in numbers}
        for partition, records in batches.items():
            touched[partition.partition].offsets[partition.topic] = records[-1].offset + 1
        for (number, service), positions in passed.items():
            touched[number].note(service, *positions)
        for (number, service), position in complete.items():
            touched[number].note_all_up_to(service, position)
        for number, lag in self._lags(touched).items():
            touched[number].lag = lag
        return self._keeper.note(touched)

    def _lags(self, touched: Mapping[int, PartitionProgress]) -> dict[int, int]:
        lags = dict.fromkeys(touched, 0)
        for partition in self._consumer.assignment():
            if partition.partition in lags and (end := self._consumer.highwater(partition)) is not None:
                # As it is noted, not as the client has it: that would be waited for, and partitions change hands only
                # when nobody works on them.
                position = touched[partition.partition].offsets.get(partition.topic, 0)
                lags[partition.partition] += max(0, end - position)
        return lags

    def _noted(self, note: Note, batches: Batches) -> None:
        for number, progress in note.partitions.items():
            metrics.PROJECTION_LAG.labels(self._applier.name, str(number)).set(progress.lag)
        for partition, records in batches.items():
            self._offsets[partition] = records[-1].offset + 1

    async def _try(self, events: Sequence[PublicEvent], note: Note) -> dict[str, tuple[list[PublicEvent], Exception]]:
        """Apply, and try again what fails; per key what is left in the end, and its error."""
        remaining = list(events)
        for attempt in range(1, POISON_ATTEMPTS + 1):
            failures = await self._applier.apply(remaining, note) if remaining else {}
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
            await self._parking.park(key, records, reason)
        else:
            for record in records:
                await self._parking.send(record, reason)
        self._count("parked", len(records))

    async def _release(self) -> None:
        """Apply the dead letters of customers whose release was requested; many at once, and the others next time."""
        keys = (await self._parking.release_requests(set(self._keeper.progress)))[:RELEASED_AT_ONCE]
        if not keys:
            return
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
        # It brings no partition any further, and is for the one alone who writes them.
        note = self._keeper.note({number: progress.copy() for number, progress in self._keeper.progress.items()})
        errors |= {key: cause for key, (_, cause) in (await self._try(events, note)).items()}
        for key in keys:
            if key in errors:
                await self._parking.park(key, [], repr(errors[key]))
            else:
                await self._parking.unpark(key)

    async def _bear(self, work: Awaitable[None]) -> None:
        """Do what can as well be done later: that it fails for a moment does not end the membership.

        To form the group again takes longer than most networks need to come back.
        """
        try:
            await work
        except (KafkaError, PyMongoError, OSError, TimeoutError) as error:
            if time.monotonic() - self._well_at >= FORBEARANCE_SECONDS:
                raise
            log.warning("%s waits: %r", self._applier.name, error)
            self._owner.hinder(repr(error))
            await asyncio.sleep(STORE_BACKOFF_SECONDS)

    async def _look_around(self) -> None:
        """Now and then: is this still the cluster and the generation, and does anybody want to be released?"""
        if time.monotonic() - self._beaten_at < BEAT_SECONDS:
            return
        self._beaten_at = time.monotonic()
        if (now := await self._kafka.watch.cluster()) != self._cluster:
            raise StartOver(f"the broker now belongs to another cluster: {self._cluster} became {now}")
        live = await self._owner.generations.live(self._applier.name, within=BEAT_SECONDS)
        if live != self._applier.generation:
            raise StartOver(f"generation {live} of the view is live")
        if self._parking.keys:
            await self._release()
        self._well_at = time.monotonic()
        self._owner.ready = self._tenure is not None

    async def _commit(self) -> None:
        self._committed_at = time.monotonic()
        offsets = {
            topic_partition: offset
            for topic_partition, offset in self._offsets.items()
            if topic_partition in self._consumer.assignment()
        }
        if not offsets:
            return
        await self._keeper.seal()
        self._applier.sealed()
        self._offsets.clear()
        crash_points.reach("before_commit")
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on without us; the next owner reads these records again, harmlessly.
            log.info("offsets of %s were not committed: %s", self._applier.name, error)

    def _count(self, result: str, count: int = 1) -> None:
        metrics.PROJECTION_EVENTS.labels(self._applier.name, result).inc(count)


def _without(left_out: set[tuple[str, int]], passed: Passed) -> Passed:
    return {
        (partition, service): [position for position in positions if (service, position) not in left_out]
        for (partition, service), positions in passed.items()
    }


def _key_of(record: ConsumerRecord) -> str:
    return (record.key or b"").decode("utf-8", "replace")
