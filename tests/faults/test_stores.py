"""Stores that die under load: PostgreSQL at once, the document store by force, the broker with all that it held."""

import asyncio
from collections.abc import Callable

from tests.faults.fleet import Fleet
from tests.faults.load import Load
from tests.faults.oracle import Oracle, settled

Tally = Callable[..., None]

POSTGRES_STOPS = 4
DOCUMENT_KILLS = 3
WIPES = 3


async def prove(fleet: Fleet, load: Load) -> Oracle:
    """Everything that was acknowledged is stored, sent and seen."""
    await load.repeat(20)
    assert not load.trouble
    oracle = await settled(fleet.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
    return oracle


async def test_postgresql_stopped_at_once_under_load_loses_nothing_and_no_stored_command_is_a_conflict(
    fleet: Fleet, count: int, tally: Tally
) -> None:
    async with Load(fleet.url, seed=3, most=2_000 * count) as load:
        for _ in range(POSTGRES_STOPS * count):
            await load.progress(60)
            await asyncio.to_thread(fleet.servers.postgres.stop, "immediate")
            await asyncio.sleep(0.5)
            await asyncio.to_thread(fleet.servers.postgres.start)
        await load.progress(60)

    oracle = await prove(fleet, load)
    tally(
        stops=POSTGRES_STOPS * count,
        commands=len(load.accepted),
        retries=load.retries,
        events=oracle.public_events,
        slowest_ms=round(load.longest_seconds * 1000),
    )


async def test_the_document_store_killed_under_load_loses_nothing(fleet: Fleet, count: int, tally: Tally) -> None:
    async with Load(fleet.url, seed=4, most=2_000 * count) as load:
        for _ in range(DOCUMENT_KILLS * count):
            await load.progress(100)
            await asyncio.to_thread(fleet.servers.documents.kill)
            await load.progress(30)
            await asyncio.to_thread(fleet.servers.documents.start)
        await load.progress(100)

    oracle = await prove(fleet, load)
    tally(kills=DOCUMENT_KILLS * count, commands=len(load.accepted), events=oracle.public_events)


async def test_a_broker_that_comes_back_empty_under_load_gets_the_whole_history_again(
    fleet: Fleet, count: int, tally: Tally
) -> None:
    async with Load(fleet.url, seed=5, most=2_000 * count) as load:
        for _ in range(WIPES * count):
            await load.progress(100)
            await asyncio.to_thread(fleet.servers.broker.restart)
            # Long enough for the groups to form again on some of the wipes, and too short on others.
            await load.progress(200)
        await load.progress(100)

    oracle = await prove(fleet, load)
    tally(wipes=WIPES * count, commands=len(load.accepted), events=oracle.public_events)
