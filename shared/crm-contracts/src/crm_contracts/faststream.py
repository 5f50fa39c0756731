"""Relata's events in a FastStream application: typed, each one once, acknowledged after the handler.

Needs the extra `crm-contracts[faststream]`. What happens, exactly:

- At least once. Records are read in batches; a batch is acknowledged when every event in it has been handled or given
  up, so a crash brings it again. What the store of positions knows as handled is then skipped.
- Watermarks, and types that were not asked for, are skipped unread, also when this version does not know them.
- An event whose handler raises is tried `attempts` times in all, and then given up: `dead_letter` gets the record and
  the last error, and reading goes on, also with later events of the same customer. A record that is malformed is given
  up at once, because it will be no better the next time.
- While the store or `dead_letter` itself raises, nothing is acknowledged and nothing passed over: the subscriber logs
  it, waits, and tries the same record again, for as long as it takes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.schemas import Topic
from pydantic import ValidationError

from crm_contracts.envelope import EnvelopeError, PublicEvent, decode, type_of
from crm_contracts.registry import EventData, event_type_of

log = logging.getLogger(__name__)

MAX_RECORDS = 500
ATTEMPTS = 3
BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0

Handler = Callable[[PublicEvent], Coroutine[Any, Any, None]]
DeadLetter = Callable[[ConsumerRecord, Exception], Awaitable[None]]


class Positions(Protocol):
    """Remembers the last `ce_sequence` that was handled for each key of each source; a subscription's own.

    It is asked before a handler and told after it: a crash in between brings the event again. To be exact, let the
    handler save `event.sequence` in the transaction of what it does, `last` read it there, and `save` do nothing.
    """

    async def last(self, source: str, key: str) -> int:
        """The last sequence handled, 0 when there is none."""

    async def save(self, source: str, key: str, sequence: int) -> None:
        """Remember it; called once per event that was handled or given up, in the order of the key's events."""


class InMemory:
    """Positions of this process only, one entry per customer: what was not yet acknowledged comes again after a
    restart, or when its partition moves to another process."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    async def last(self, source: str, key: str) -> int:
        return self._last.get((source, key), 0)

    async def save(self, source: str, key: str, sequence: int) -> None:
        self._last[source, key] = sequence


def dead_letter_topic(broker: KafkaBroker, topic: str) -> DeadLetter:
    """Sends what was given up to a topic of yours: the record's key, value and headers, and the error in `error`.

    Where the broker does not make topics by itself, make this one first.
    """

    async def send(record: ConsumerRecord, error: Exception) -> None:
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
        await broker.publish(record.value or b"", topic, key=record.key, headers={**headers, "error": repr(error)})

    return send


def subscriber(
    broker: KafkaBroker,
    *events: type[EventData],
    group: str,
    dead_letter: DeadLetter,
    positions: Positions | None = None,
    attempts: int = ATTEMPTS,
    **options: Any,
) -> Callable[[Handler], Handler]:
    """Decorates an async function that gets the events of these models, one at a time and in order per customer.

    It gets a `PublicEvent`, whose `payload` is valid and one of the models. Read from the beginning of history when
    the group is new. `group` must not change afterwards. A handler may get an event again (see above). `options` are
    further ones of FastStream's own subscriber, such as `session_timeout_ms` or `partition_assignment_strategy`.
    """
    types = [event_type_of(model) for model in events]
    if not types or any(event_type.state for event_type in types):
        raise ValueError("name the events to subscribe to; a state topic is read as examples/bootstrap.py shows")
    # The topics are Relata's; FastStream would make them, with one partition, should it come first.
    topics = [Topic(name, declare=False) for name in dict.fromkeys(event_type.topic for event_type in types)]
    wanted = frozenset(event_type.ce_type for event_type in types)

    def decorate(handler: Handler) -> Handler:
        subscription = _Subscription(wanted, handler, dead_letter, positions or InMemory(), attempts)

        async def consume(records: Any, message: KafkaMessage) -> None:
            await subscription.take(message.raw_message)
            try:
                await message.ack()
            except KafkaError as error:  # such as a rebalance meanwhile: whoever has the partition now gets it again
                log.warning("%s could not acknowledge: %r", group, error)

        # FastStream names a subscriber after its function, in logs and in its AsyncAPI description.
        consume.__name__, consume.__doc__ = handler.__name__, handler.__doc__
        broker.subscriber(
            *topics,
            group_id=group,
            auto_offset_reset="earliest",
            batch=True,
            max_records=MAX_RECORDS,
            ack_policy=AckPolicy.MANUAL,
            parser=_unread,
            decoder=_nothing,
            no_reply=True,
            **options,
        )(consume)
        return handler

    return decorate


class _Subscription:
    """What becomes of each record. Never raises but for cancellation: FastStream would go on behind the record."""

    def __init__(
        self, wanted: frozenset[str], handler: Handler, dead_letter: DeadLetter, positions: Positions, attempts: int
    ) -> None:
        self._wanted = wanted
        self._handler = handler
        self._dead_letter = dead_letter
        self._positions = positions
        self._attempts = attempts

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if type_of(record.headers) not in self._wanted:
                continue
            failures = 0
            while True:
                try:
                    await self._settle(record)
                    break
                except Exception as error:
                    failures += 1
                    log.exception("%s [%d] %d waits: %r", record.topic, record.partition, record.offset, error)
                    await asyncio.sleep(_backoff(failures))

    async def _settle(self, record: ConsumerRecord) -> None:
        try:
            event = decode(record.key, record.value, record.headers)
            _ = event.payload
        except (EnvelopeError, ValidationError) as error:
            await self._dead_letter(record, error)
            return
        if event.sequence <= await self._positions.last(event.service, event.key):
            return
        if (failure := await self._try(event)) is not None:
            await self._dead_letter(record, failure)
        await self._positions.save(event.service, event.key, event.sequence)

    async def _try(self, event: PublicEvent) -> Exception | None:
        """Call the handler, and again; the last error when it never succeeded."""
        failure: Exception | None = None
        for attempt in range(1, self._attempts + 1):
            try:
                await self._handler(event)
                return None
            except Exception as error:
                failure = error
                log.warning("%s %s failed, attempt %d: %r", event.name, event.id, attempt, error)
                if attempt < self._attempts:
                    await asyncio.sleep(_backoff(attempt))
        return failure


def _backoff(failures: int) -> float:
    return min(BACKOFF_SECONDS * 2.0 ** min(failures, 10), LONGEST_BACKOFF_SECONDS)


async def _unread(records: Sequence[ConsumerRecord], parse: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """FastStream's message around records that it has not read: a header that is null or no text stops its parser."""
    message = await parse((replace(records[0], headers=(), value=b""),))
    message.raw_message = tuple(records)
    return message


async def _nothing(message: KafkaMessage, decode_batch: object) -> None:
    """Each record is decoded by itself, so that a record that cannot be decoded is given up by itself."""
