"""A loop that is told to end does, although a library has kept the cancellation from it."""

import asyncio
import contextlib

import pytest

from crm_shared.kafka.clients import heed_cancellation


async def test_a_loop_whose_cancellation_was_swallowed_ends_at_its_next_turn() -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            heed_cancellation()
            turns += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30 if turns == 2 else 0)

    working = asyncio.create_task(work())
    while turns < 2:
        await asyncio.sleep(0)
    working.cancel()

    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await working
    assert turns == 2


async def test_a_task_that_nobody_has_cancelled_goes_on_also_after_a_timeout_within_it() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    heed_cancellation()
