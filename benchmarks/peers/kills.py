"""Exactness: the projector or the relay is killed again and again while purchases come in, and the view is counted."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks.peers.trial import Trial
from benchmarks.peers.views import Sent
from relata_local.processes import ManagedServer

KILLS = 5
EVENTS = 3_200
RATE = 160.0
# From the start of the load generator's process, which takes some time to send: in the middle of what it sends.
KILL_AFTER_SECONDS = 2.5
# What was read and written before the kill may be looked at after it.
SETTLED_SECONDS = 0.25


async def kill_projector(trial: Trial) -> dict[str, float]:
    """What is counted twice and missing in the end, and how long the view stood still at most (seconds, median)."""
    twice, missing = await trial.errors()
    back: list[float] = []
    for number in range(KILLS):
        trial.report(f"kill {number + 1} of the projector")
        async with trial.looking() as view:
            killed, sent = await _kill(trial, trial.side.projector)
            visible = await trial.all_visible(view, sent)
        again = [when - killed for _, when in visible if when > killed + SETTLED_SECONDS]
        back.append(min(again))
    after = await trial.errors()
    return {
        "back": sorted(back)[KILLS // 2],
        "projector-twice": after[0] - twice,
        "projector-missing": after[1] - missing,
    }


async def kill_relay(trial: Trial) -> dict[str, float]:
    """What is counted twice and missing in the end."""
    trial.report("making the relay a process of its own")
    relay = trial.side.relay_alone()
    twice, missing = await trial.errors()
    for number in range(KILLS):
        trial.report(f"kill {number + 1} of the relay")
        await _kill(trial, relay)
        await trial.settle()
    after = await trial.errors()
    return {"relay-twice": after[0] - twice, "relay-missing": after[1] - missing}


async def _kill(trial: Trial, process: ManagedServer) -> tuple[float, Sequence[Sent]]:
    """Send a share of the purchases, and kill the process and start it again meanwhile; when it was killed."""
    sending = asyncio.create_task(trial.send(RATE, seconds=EVENTS / KILLS / RATE))
    await asyncio.sleep(KILL_AFTER_SECONDS)
    killed = time.monotonic()
    process.kill()
    await asyncio.to_thread(process.start)
    return killed, await sending
