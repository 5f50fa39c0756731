"""How often a consumer asks its broker for records: at once where they come, ever more seldom where none do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

# After so long without a record a request may wait at the broker for longer: nothing else waits for its answer.
QUIET_SECONDS = 1.0
LONGEST_WAIT_MS = 500
# A broker that does not let a request wait is asked again after a part of the time in which nothing came.
SHARE_OF_QUIET = 1 / 20
LONGEST_PAUSE_SECONDS = 0.2


class Pace:
    """When a consumer's next request for records is sent.

    `gather` is how long records may gather at the broker after some have come (s). `pause` is for brokers that answer
    at once that there is nothing, or late that there is something: how long to wait until they are asked again, at
    least (s); 0 for all others.
    """

    def __init__(self, gather: float = 0.0, pause: float = 0.0) -> None:
        self._gather = gather
        self._pause = pause
        self._next_at = 0.0
        self._found_at = time.monotonic()

    def set(self, fetcher: Fetcher) -> None:
        """Let the fetcher of a consumer keep this pace."""
        fetch: Callable[..., Awaitable[bool]] = fetcher._proc_fetch_request
        wait_ms: int = fetcher._fetch_max_wait_ms

        async def fetch_in_time(*arguments: Any) -> bool:
            try:
                await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
            except asyncio.CancelledError:
                # As the fetcher's own: whoever cancels does not want the records any more.
                return False
            found = await fetch(*arguments)
            quiet = self._note(found)
            if not self._pause:
                fetcher._fetch_max_wait_ms = max(wait_ms, LONGEST_WAIT_MS) if quiet >= QUIET_SECONDS else wait_ms
            return found

        fetcher._proc_fetch_request = fetch_in_time

    def _note(self, found: bool) -> float:
        """Take in what a request has brought; for how long nothing has come (s)."""
        now = time.monotonic()
        if found:
            self._found_at = now
        quiet = now - self._found_at
        longest = max(self._pause, LONGEST_PAUSE_SECONDS)
        pause = min(max(self._pause, quiet * SHARE_OF_QUIET), longest) if self._pause else 0.0
        self._next_at = now + (max(self._gather, self._pause) if found else pause)
        return quiet
