"""Stores that die under load: PostgreSQL at once, the document store by force, the broker with all that it held."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from tests.faults.fleet import Fleet
from tests.faults.load import Load
from tests.faults.oracle import Oracle, settled
from tests.faults.stored import DEFINITIONS, read_log

from contacts_service.application import CustomerIdentified, IdentifyCustomer, Sighting
from contacts_service.domain import Customer, Identifier
from crm_shared.application import Outcome, Submission, Writer
from crm_shared.domain import RelataError, StoreUnavailable
from crm_shared.postgres import EventSourcedApplication

Tally = Callable[..., None]

POSTGRES_STOPS = 4
STOPS_IN_FLIGHT = 6
CALLERS = 32
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


async def test_many_commands_in_flight_when_postgresql_stops_at_once_are_stored_or_refused_and_never_in_conflict(
    fleet: Fleet, count: int, tally: Tally
) -> None:
    # given a service without an interface, and callers that never repeat a command
    settings = fleet.settings("contacts")
    contacts = EventSourcedApplication(settings.eventsourcing_env("contacts"))
    writer = Writer(contacts)
    answered: dict[str, Outcome[CustomerIdentified]] = {}
    refused: list[Exception] = []
    recognised = 0

    def found_stored(events: Sequence[Any]) -> list[int] | None:
        nonlocal recognised
        positions = look(events)
        recognised += positions is not None
        return positions

    look = writer._positions_if_stored
    writer._positions_if_stored = found_stored  # type: ignore[method-assign]  # to count

    async def call(number: int) -> None:
        for turn in range(10_000):
            if stopping.is_set():
                return
            email = Identifier("email", f"flight-{number}-{turn}-{uuid4().hex}@example.com")
            try:
                answered[email.value] = await writer.run(Submission(IdentifyCustomer(Sighting("test", [email]))))
            except RelataError as error:
                refused.append(error)

    # when PostgreSQL stops at once again and again
    stopping = asyncio.Event()
    callers = [asyncio.create_task(call(number)) for number in range(CALLERS)]
    for _ in range(STOPS_IN_FLIGHT * count):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(fleet.servers.postgres.stop, "immediate")
        await asyncio.to_thread(fleet.servers.postgres.start)
    await asyncio.sleep(0.5)
    stopping.set()
    await asyncio.gather(*callers)
    await asyncio.to_thread(writer.close)
    contacts.close()

    # then whatever was answered is stored where the answer says, and the rest was told that the store is away
    assert {type(error) for error in refused} <= {StoreUnavailable}
    log = read_log(DEFINITIONS["contacts"], settings)
    stored = {
        event.identifiers[0]["value"]: (str(event.originator_id), position)
        for event, position in log.events
        if isinstance(event, Customer.Created)
    }
    assert all(stored[email] == (one.value.customer_id, one.position) for email, one in answered.items())
    await settled(fleet.settings)
    tally(
        stops=STOPS_IN_FLIGHT * count, commands=len(answered), unavailable=len(refused), recognised_as_stored=recognised
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
