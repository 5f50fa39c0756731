"""Watermarks: small records that say how far a service's event topic is, in every partition of it."""

import time
from datetime import datetime, timedelta

from crm_contracts.watermark import encode_watermark
from crm_shared.kafka.clients import Producer
from crm_shared.publishing.batches import Batch, send_in_order
from crm_shared.publishing.tasks import all_or_first_error

# A log that rests so long gets a watermark: to wait for everything takes little longer than to wait for an event.
QUIET_SECONDS = 0.05
# While events keep coming there is one so often.
BUSY_SECONDS = 0.5
# While nothing comes there is still one now and then, which says that time went by without an event.
RESTING_SECONDS = 60.0
# An event's time of recording is taken before it is stored. Within this time it is stored, or its command has failed.
SETTLED = timedelta(seconds=15)


class Watermarks:
    """When the next watermark is due on one service's event topic, and sending it.

    A watermark says that every event of the service up to `sequence`, and every one recorded before `recorded_until`,
    has been sent before it in its partition.
    """

    def __init__(self, service: str, topic: str, partitions: int) -> None:
        self._service = service
        self._topic = topic
        self._partitions = partitions
        self._said = -1
        self._sent_at = self._moved_at = 0.0

    def restart(self) -> None:
        """Whoever published before may have ended between events and their watermark."""
        self._said = -1
        self._sent_at = self._moved_at = time.monotonic()

    def moved(self) -> None:
        """Events were sent."""
        self._moved_at = time.monotonic()

    def pause(self, position: int, otherwise: float) -> float:
        """How long to wait for more events before a watermark is due, at most `otherwise` (s)."""
        return QUIET_SECONDS if position != self._said else otherwise

    def due(self, position: int) -> bool:
        """Whether one should be sent now that events up to this position have been."""
        now = time.monotonic()
        if position == self._said:
            return now - self._sent_at >= RESTING_SECONDS
        return now - self._moved_at >= QUIET_SECONDS or now - self._sent_at >= BUSY_SECONDS

    async def send(self, producer: Producer, position: int, known_until: datetime) -> None:
        """Send one to every partition; `known_until` is when the log was looked at for what comes after `position`."""
        until = known_until - SETTLED
        batches = []
        for partition in range(self._partitions):
            value, headers = encode_watermark(self._service, partition, position, until, known_until)
            builder = producer.create_batch()
            builder.append(timestamp=None, key=None, value=value, headers=headers)
            builder.close()
            batches.append(Batch(self._topic, partition, 1, builder))
        await all_or_first_error(*(send_in_order(producer, [batch]) for batch in batches))
        self._said, self._sent_at = position, time.monotonic()
