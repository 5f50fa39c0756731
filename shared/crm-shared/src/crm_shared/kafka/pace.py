"""How often a consumer asks its broker for records: at once where they come, ever more seldom where none do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher

# Where more than one record comes in so long, more are taken at once: a batch costs what it costs, however small.
SECONDS_PER_RECORD = 0.008
LONGEST_GATHERING_SECONDS = 0.025
# So many are enough, or there is a backlog: nothing is gained by waiting.
ENOUGH_RECORDS = 100
# After so long without a record a request may wait at the broker for longer: nothing else waits for its answer.
QUIET_SECONDS = 1.0
LONGEST_WAIT_MS = 500
# A request to a broker that looks for news at the wrong times: a wait is also all the time that it has to read. After
# records there are likely more, so the next request has more of it.
WAIT_AFTER_RECORDS_MS = 20
# Such a broker is asked again after a part of the time in which nothing came.
SHARE_OF_QUIET = 1 / 20
LONGEST_PAUSE_SECONDS = 0.25


class Pace:
    """When a consumer's next request for records is sent.

    `gather` is how long records may gather at the broker after some have come (s). `pause` is for brokers that look for
    news at the wrong times while a request waits, such as the embedded one, and must be asked again and again: how long
    to wait in between, at least (s); 0 for all others.
    """

    def __init__(self, gather: float = 0.0, pause: float = 0.0) -> None:
        self._gather = gather
        self._pause = pause
        self._next_at = 0.0
        self._found_at = time.monotonic()
        self._gap = max(gather, pause)
        self._pausing: asyncio.Future[None] | None = None

    def hurry(self) -> None:
        """Somebody waits for records: ask at once, and for a while as often as if some had just come."""
        self._found_at = time.monotonic()
        if self._pausing is not None and not self._pausing.done():
            self._pausing.set_result(None)

    def came(self, records: int) -> None:
        """So many records were in the last batch: where they come fast, more may gather for the next one."""
        if records >= ENOUGH_RECORDS:
            self._gap = 0.0
        else:
            busy = min(records * SECONDS_PER_RECORD, LONGEST_GATHERING_SECONDS)
            self._gap = max(self._gather, self._pause, busy)

    def set(self, fetcher: Fetcher) -> None:
        """Let the fetcher of a consumer keep this pace."""
        fetch: Callable[[Any, int, Any], Awaitable[bool]] = fetcher._proc_fetch_request
        wait_ms: int = fetcher._fetch_max_wait_ms

        async def fetch_in_time(assignment: Any, node_id: int, request: Any) -> bool:
            try:
                await self._wait()
            except asyncio.CancelledError:
                # As the fetcher's own: whoever cancels does not want the records any more.
                return False
            found = await fetch(assignment, node_id, request)
            if not found and self._pause and _has_more(assignment, request):
                # It gave up within the wait, before it had come to the records, for it holds many.
                fetcher._fetch_max_wait_ms = min(4 * fetcher._fetch_max_wait_ms, LONGEST_WAIT_MS)
                return found
            quiet = self._note(found)
            if self._pause:
                fetcher._fetch_max_wait_ms = max(wait_ms, WAIT_AFTER_RECORDS_MS) if found else wait_ms
            else:
                fetcher._fetch_max_wait_ms = max(wait_ms, LONGEST_WAIT_MS) if quiet >= QUIET_SECONDS else wait_ms
            return found

        fetcher._proc_fetch_request = fetch_in_time

    async def _wait(self) -> None:
        """Wait until it is time, or somebody is in a hurry."""
        if (seconds := self._next_at - time.monotonic()) <= 0:
            return
        loop = asyncio.get_running_loop()
        pausing = self._pausing = loop.create_future()
        timer = loop.call_later(seconds, lambda: None if pausing.done() else pausing.set_result(None))
        try:
            await pausing
        finally:
            timer.cancel()

    def _note(self, found: bool) -> float:
        """Take in what a request has brought; for how long nothing has come (s)."""
        now = time.monotonic()
        if found:
            self._found_at = now
        quiet = now - self._found_at
        longest = max(self._pause, LONGEST_PAUSE_SECONDS)
        pause = min(max(self._pause, quiet * SHARE_OF_QUIET), longest) if self._pause else 0.0
        self._next_at = now + (self._gap if found else pause)
        return quiet


def _has_more(assignment: Any, request: Any) -> bool:
    """Whether the broker says that there are records where a request has asked for them, and brought none."""
    asked_for = [
        (assignment.state_value(TopicPartition(topic, partition)), offset)
        for topic, partitions in request.topics
        for partition, offset, _ in partitions
    ]
    return assignment.active and any(
        state.has_valid_position and state.position == offset and (state.highwater or 0) > offset
        for state, offset in asked_for
    )
