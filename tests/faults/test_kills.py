"""Processes killed as by `kill -9`, at random and at crash points: nothing acknowledged is lost, no view differs."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import get_args

from tests.faults.fleet import Fleet, Process
from tests.faults.load import Load
from tests.faults.oracle import Oracle, settled

from crm_shared.observability.crash_points import Point

Tally = Callable[..., None]

KILLS = 12
DEATH_SECONDS = 240.0
REACHED_BY: dict[Point, str] = {
    "after_store": "api",
    "after_send": "relay",
    "before_position": "relay",
    "after_decisions": "project",
    "after_rows": "project",
    "after_new_documents": "project",
    "after_view_write": "project",
    "before_commit": "project",
}
# Rows beside documents, and policies, are not everywhere; nor do many documents that are new come together.
ONLY_IN: dict[str, set[Point]] = {
    "customer360": {"after_rows"},
    "interactions": {"after_new_documents"},
    "segmentation": {"after_decisions"},
}


async def prove(fleet: Fleet, load: Load) -> Oracle:
    """Everything that was acknowledged is stored, sent and seen."""
    fleet.start_missing()
    await load.repeat(20)
    assert not load.trouble
    oracle = await settled(fleet.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
    return oracle


async def test_processes_killed_at_random_moments_lose_nothing(fleet: Fleet, count: int, tally: Tally) -> None:
    chance = random.Random(1)

    async with Load(fleet.url, seed=1, most=2_000 * count) as load:
        await load.progress(50)
        for _ in range(KILLS * count):
            victim = chance.choice(fleet.processes)
            await asyncio.to_thread(victim.kill)
            await asyncio.sleep(chance.random())
            victim.launch()
            await asyncio.sleep(chance.random() * 3)
        await load.progress(50)

    assert len(load.accepted) >= 100
    oracle = await prove(fleet, load)
    tally(kills=KILLS * count, commands=len(load.accepted), retries=load.retries, events=oracle.public_events)


async def test_processes_that_die_at_each_crash_point_lose_nothing(fleet: Fleet, count: int, tally: Tally) -> None:
    # each process starts anew whenever it has died, to die at its next point
    left = {one: points_of(one) * count for one in fleet.processes}
    assert {point for points in left.values() for point in points} == {*get_args(Point)}
    died = 0

    async with Load(fleet.url, seed=2, most=3_000 * count) as load:
        await load.progress(20)
        for process, points in left.items():
            process.kill()
            start_to_die(process, points)
        deadline = time.monotonic() + DEATH_SECONDS * count
        while any(process.dies_at for process in left) and time.monotonic() < deadline:
            for process, points in left.items():
                if not process.running:
                    died += process.dies_at is not None
                    start_to_die(process, points)
            await asyncio.sleep(0.1)
        alive = [(one.name, one.dies_at) for one in left if one.dies_at]

    assert not alive, "these did not get to their crash points"
    oracle = await prove(fleet, load)
    tally(deaths=died, commands=len(load.accepted), retries=load.retries, events=oracle.public_events)


def points_of(process: Process) -> list[Point]:
    """The crash points that a process gets to."""
    without = set[Point]().union(*ONLY_IN.values()) - ONLY_IN.get(process.service, set())
    if process.service == "customer360":
        without |= {"after_store", "after_send", "before_position"}
    return [point for point, role in REACHED_BY.items() if process.has_role(role) and point not in without]


def start_to_die(process: Process, points: list[Point]) -> None:
    """Start a process that dies at the first of these points, or, when there is none, lives."""
    process.dies_at = points.pop(0) if points else None
    process.times = 1 + len(points) % 2
    process.launch()
