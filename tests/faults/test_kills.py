"""Processes killed as by `kill -9`, at random and at crash points: nothing acknowledged is lost, no view differs."""

import asyncio
import random
from collections.abc import Sequence
from typing import get_args

from tests.faults.fleet import Fleet, Process, launch, wait_dead
from tests.faults.load import Load
from tests.faults.oracle import settled

from crm_shared.crash_points import Point

KILLS = 12
DEATH_SECONDS = 120.0
REACHED_BY: dict[Point, str] = {
    "after_store": "api",
    "after_send": "relay",
    "before_position": "relay",
    "after_rows": "project",
    "after_view_write": "project",
    "before_commit": "project",
}


async def prove(fleet: Fleet, load: Load) -> None:
    """Everything that was acknowledged is stored, sent and seen."""
    fleet.start_missing()
    await load.repeat(20)
    assert not load.trouble
    oracle = await settled(fleet.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()


async def test_processes_killed_at_random_moments_lose_nothing(fleet: Fleet, count: int) -> None:
    chance = random.Random(1)

    async with Load(fleet.url, seed=1) as load:
        await load.progress(50)
        for _ in range(KILLS * count):
            victim = chance.choice(fleet.processes)
            await asyncio.to_thread(victim.kill)
            await asyncio.sleep(chance.random())
            victim.launch()
            await asyncio.sleep(chance.random() * 3)
        await load.progress(50)

    assert len(load.accepted) >= 100
    await prove(fleet, load)


async def test_processes_that_die_at_each_crash_point_lose_nothing(fleet: Fleet, count: int) -> None:
    # Each process visits its points in turn; all of them do so at the same time.
    visits = {one: points_of(one) * count for one in fleet.processes}
    assert {point for points in visits.values() for point in points} == {*get_args(Point)}

    async with Load(fleet.url, seed=2) as load:
        for turn in range(max(len(points) for points in visits.values())):
            dying = [one for one, points in visits.items() if turn < len(points)]
            await asyncio.to_thread(die_at, dying, [visits[one][turn] for one in dying], 1 + turn % 2)
            await asyncio.to_thread(fleet.start_missing)

    await prove(fleet, load)


def points_of(process: Process) -> list[Point]:
    """The crash points that a process gets to."""
    without = {"customer360": {"after_store", "after_send", "before_position"}}.get(process.service, {"after_rows"})
    return [point for point, role in REACHED_BY.items() if process.has_role(role) and point not in without]


def die_at(processes: Sequence[Process], points: Sequence[Point], times: int) -> None:
    """Start processes anew to die at these points, and wait until they have."""
    for process, point in zip(processes, points, strict=True):
        process.kill()
        process.dies_at, process.times = point, times
    launch(processes)
    alive = wait_dead(processes, DEATH_SECONDS)
    assert not alive, f"did not get to their crash points: {[(one.name, one.dies_at) for one in alive]}"
