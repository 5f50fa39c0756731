"""Acknowledgements that a dropped connection takes away: what is stored is answered as stored, and once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import OperationalError

from crm_shared.application import Command, Outcome, Submission, Unit, Writer
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


@dataclass(frozen=True, slots=True)
class SellTicket(Command[str]):
    """Sell it, once."""

    ticket_id: UUID

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.ticket_id,)

    def decide(self, unit: Unit) -> str:
        if unit.find(Ticket, self.ticket_id) is not None:
            raise Conflict("it is sold")
        unit.save(Ticket._create(Ticket.Created, id=self.ticket_id))
        return str(self.ticket_id)


def sell(ticket_id: UUID) -> Submission[str]:
    return Submission(SellTicket(ticket_id))


@pytest.fixture
def tickets(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("tickets")


@contextmanager
def losing_acknowledgements(application: EventSourcedApplication, times: int) -> Iterator[list[int]]:
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
    tickets: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    writer, ids = open_writer(tickets), [uuid4() for _ in range(20)]

    with losing_acknowledgements(tickets, times=3) as lost:
        outcomes = await asyncio.gather(*(writer.run(sell(one)) for one in ids))

    assert lost
    stored = {str(event.originator_id): position for event, position in tickets.load(dict.fromkeys(ids, 0))}
    assert {outcome.value: outcome.position for outcome in outcomes} == stored
    assert len(stored) == 20


async def test_somebody_elses_event_is_still_a_conflict_when_an_acknowledgement_is_lost(
    tickets: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    # given two processes that decide about the same ticket at the same time
    one, other, ticket = open_writer(tickets), open_writer(tickets), uuid4()

    with losing_acknowledgements(tickets, times=2):
        outcomes = await asyncio.gather(one.run(sell(ticket)), other.run(sell(ticket)), return_exceptions=True)

    # then one of them has sold it, and the other is told so
    assert {type(outcome) for outcome in outcomes} == {Outcome, Conflict}
