"""Acknowledgements that a dropped connection takes away: what is stored is answered as stored, and once."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import OperationalError

from crm_shared.application import Command, Outcome, Unit, Writer
from crm_shared.domain import Aggregate, Conflict
from crm_shared.postgres import EventSourcedApplication


class Ticket(Aggregate):
    """Something that can be sold once."""

    TOPIC = "test.lost_acknowledgements.Ticket"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """It was sold."""

        TOPIC = "test.lost_acknowledgements.Ticket.Sold.v1"


class Tickets(EventSourcedApplication):
    """An application with tickets."""

    name = "tickets"


def sell(ticket_id: UUID) -> Command[str]:
    def decide(unit: Unit) -> str:
        if unit.find(Ticket, ticket_id) is not None:
            raise Conflict("it is sold")
        unit.save(Ticket._create(Ticket.Created, id=ticket_id))
        return str(ticket_id)

    return Command(decide, reads=(ticket_id,))


@pytest.fixture
def tickets(open_application: Callable[[type[Tickets]], Tickets]) -> Tickets:
    return open_application(Tickets)


@contextmanager
def losing_acknowledgements(application: Tickets, times: int) -> Iterator[list[int]]:
    """The connection drops after that many inserts are stored, and before the client hears of it."""
    datastore = application.ordered_recorder.datastore
    get_connection = datastore.get_connection
    lost: list[int] = []

    @contextmanager
    def dropping() -> Iterator[Any]:
        with get_connection() as connection:
            before = count(connection)
            yield connection
            stored = count(connection) - before
        if stored and len(lost) < times:
            lost.append(stored)
            raise OperationalError("server closed the connection unexpectedly")

    def count(connection: Any) -> int:
        table = f'"{datastore.schema}"."{application.ordered_recorder.events_table_name}"'
        return int(connection.execute(f"SELECT count(*) AS n FROM {table}").fetchone()["n"])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(datastore, "get_connection", dropping)
        yield lost


async def test_a_batch_whose_acknowledgement_is_lost_is_answered_as_stored(
    tickets: Tickets, open_writer: Callable[[Tickets], Writer]
) -> None:
    writer, ids = open_writer(tickets), [uuid4() for _ in range(20)]

    with losing_acknowledgements(tickets, times=3) as lost:
        outcomes = await asyncio.gather(*(writer.run(sell(one)) for one in ids))

    assert lost
    stored = {str(event.originator_id): position for event, position in tickets.load(dict.fromkeys(ids, 0))}
    assert {outcome.value: outcome.position for outcome in outcomes} == stored
    assert len(stored) == 20


async def test_somebody_elses_event_is_still_a_conflict_when_an_acknowledgement_is_lost(
    tickets: Tickets, open_writer: Callable[[Tickets], Writer]
) -> None:
    # given two processes that decide about the same ticket at the same time
    one, other, ticket = open_writer(tickets), open_writer(tickets), uuid4()

    with losing_acknowledgements(tickets, times=2):
        outcomes = await asyncio.gather(one.run(sell(ticket)), other.run(sell(ticket)), return_exceptions=True)

    # then one of them has sold it, and the other is told so
    assert {type(outcome) for outcome in outcomes} == {Outcome, Conflict}
