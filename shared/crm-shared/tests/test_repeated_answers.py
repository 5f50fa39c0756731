"""Idempotency keys at the writer: a repeated command answers as the first one did, position included."""

from collections.abc import Callable

import pytest

from crm_shared.application import Answer, Command, Outcome, Unit, Writer, idempotent
from crm_shared.domain import Aggregate, IdempotencyKeyReused, derived_id
from crm_shared.postgres import EventSourcedApplication


class Door(Aggregate):
    """Something that can be opened once."""

    TOPIC = "test.repeated_answers.Door"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """Somebody built it."""

        TOPIC = "test.repeated_answers.Door.Built.v1"

    class Opened(Event):
        """Somebody opened it."""

        TOPIC = "test.repeated_answers.Door.Opened.v1"

        def apply(self, aggregate: "Door") -> None:
            aggregate.open = True

    def __init__(self) -> None:
        self.open = False


class Doors(EventSourcedApplication):
    """An application with doors."""

    name = "doors"


DOOR = derived_id("door")


@pytest.fixture
def writer(
    open_application: Callable[[type[Doors]], Doors], open_writer: Callable[[EventSourcedApplication], Writer]
) -> Writer:
    return open_writer(open_application(Doors))


def build(unit: Unit) -> Answer:
    unit.save(Door._create(Door.Created, id=DOOR))
    return Answer(201, {})


def open_door(unit: Unit) -> Answer:
    door = unit.get(Door, DOOR)
    was_open = door.open
    if not was_open:
        door.trigger_event(Door.Opened)
    unit.save(door)
    return Answer(200, {"changed": not was_open})


def with_key(decide: Callable[[Unit], Answer], key: str, fingerprint: str = "f") -> Command[Answer]:
    return idempotent(Command(decide), service="doors", key=key, fingerprint=fingerprint)


async def test_a_retry_answers_with_the_position_of_the_first_attempt(writer: Writer) -> None:
    await writer.run(Command(build))
    first = await writer.run(with_key(open_door, "k"))

    again = await writer.run(with_key(open_door, "k"))

    assert first.value == Answer(200, {"changed": True})
    assert again == first


async def test_a_command_that_changed_nothing_answers_with_the_last_position_of_what_it_looked_at(
    writer: Writer,
) -> None:
    await writer.run(Command(build))
    opened = await writer.run(Command(open_door))

    first = await writer.run(with_key(open_door, "k"))
    again = await writer.run(with_key(open_door, "k"))

    assert first == Outcome(Answer(200, {"changed": False}), opened.position)
    assert again == first


async def test_a_retry_in_the_same_batch_as_the_first_attempt_gets_the_same_answer(writer: Writer) -> None:
    commands = [with_key(build, "b"), with_key(build, "b"), with_key(open_door, "o"), with_key(open_door, "o")]

    built, built_again, opened, opened_again = await writer.run_all(commands)

    assert isinstance(built, Outcome)
    assert isinstance(opened, Outcome)
    assert built_again == built
    assert opened_again == opened
    assert opened.position > built.position


async def test_a_retry_after_later_changes_still_gets_the_first_position(writer: Writer) -> None:
    first = await writer.run(with_key(build, "b"))
    await writer.run(Command(open_door))

    again = await writer.run(with_key(build, "b"))

    assert again == first


async def test_the_same_key_with_another_request_is_refused(writer: Writer) -> None:
    await writer.run(with_key(build, "k"))

    with pytest.raises(IdempotencyKeyReused):
        await writer.run(with_key(open_door, "k", fingerprint="other"))
