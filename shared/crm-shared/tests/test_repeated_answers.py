"""Idempotency keys at the writer: a repeated command answers as the first one did, position included."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from crm_shared.application import Command, IdempotencyKey, Outcome, Submission, Unit, Writer
from crm_shared.application.command import R
from crm_shared.application.idempotency import IdempotencyRecord
from crm_shared.domain import Aggregate, CommandContext, IdempotencyKeyReused, derived_id
from crm_shared.domain.context import ANONYMOUS
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


DOOR = derived_id("door")


@dataclass(frozen=True, slots=True)
class DoorStands:
    """What a command about the door answers."""

    created: bool
    handles: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildDoor(Command[DoorStands]):
    """Build it."""

    def decide(self, unit: Unit) -> DoorStands:
        unit.save(Door._create(Door.Created, id=DOOR))
        return DoorStands(created=True, handles=(DOOR,))


@dataclass(frozen=True, slots=True)
class DoorOpened:
    """Whether it was closed before."""

    changed: bool


@dataclass(frozen=True, slots=True)
class OpenDoor(Command[DoorOpened]):
    """Open it."""

    def decide(self, unit: Unit) -> DoorOpened:
        door = unit.get(Door, DOOR)
        was_open = door.open
        if not was_open:
            door.trigger_event(Door.Opened)
        unit.save(door)
        return DoorOpened(not was_open)


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("doors")


@pytest.fixture
def writer(store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]) -> Writer:
    return open_writer(store)


def with_key(command: Command[R], key: str, fingerprint: str = "f", caller: str = ANONYMOUS) -> Submission[R]:
    return Submission(command, CommandContext(), IdempotencyKey("doors", caller, key, fingerprint))


async def test_a_retry_answers_with_the_position_of_the_first_attempt(writer: Writer) -> None:
    await writer.run(Submission(BuildDoor()))
    first = await writer.run(with_key(OpenDoor(), "k"))

    again = await writer.run(with_key(OpenDoor(), "k"))

    assert first.value == DoorOpened(changed=True)
    assert again == first


async def test_a_command_that_changed_nothing_answers_with_the_last_position_of_what_it_looked_at(
    writer: Writer,
) -> None:
    await writer.run(Submission(BuildDoor()))
    opened = await writer.run(Submission(OpenDoor()))

    first = await writer.run(with_key(OpenDoor(), "k"))
    again = await writer.run(with_key(OpenDoor(), "k"))

    assert first == Outcome(DoorOpened(changed=False), opened.position)
    assert again == first


async def test_a_retry_in_the_same_batch_as_the_first_attempt_gets_the_same_answer(writer: Writer) -> None:
    commands: list[Submission[Any]] = [
        *(with_key(BuildDoor(), "b") for _ in range(2)),
        *(with_key(OpenDoor(), "o") for _ in range(2)),
    ]

    built, built_again, opened, opened_again = await writer.run_all(commands)

    assert isinstance(built, Outcome)
    assert isinstance(opened, Outcome)
    assert built_again == built
    assert opened_again == opened
    assert opened.position > built.position


async def test_a_retry_after_later_changes_still_gets_the_first_position(writer: Writer) -> None:
    first = await writer.run(with_key(BuildDoor(), "b"))
    await writer.run(Submission(OpenDoor()))

    again = await writer.run(with_key(BuildDoor(), "b"))

    assert again == first


async def test_the_same_key_with_another_request_is_refused(writer: Writer) -> None:
    await writer.run(with_key(BuildDoor(), "k"))

    with pytest.raises(IdempotencyKeyReused):
        await writer.run(with_key(OpenDoor(), "k", fingerprint="other"))


async def test_a_key_belongs_to_its_caller(writer: Writer) -> None:
    await writer.run(with_key(BuildDoor(), "k", caller="webshop"))

    opened = await writer.run(with_key(OpenDoor(), "k", fingerprint="other", caller="till"))

    assert opened.value == DoorOpened(changed=True)


async def test_a_key_that_was_stored_with_a_status_and_a_body_is_still_answered(
    store: EventSourcedApplication, writer: Writer
) -> None:
    # given a record as it was stored before results were
    once = IdempotencyKey("doors", ANONYMOUS, "k", "f")
    built = await writer.run(Submission(BuildDoor()))
    kept = IdempotencyRecord._create(
        IdempotencyRecord.CreatedWithStatus,
        id=IdempotencyRecord.create_id(once),
        fingerprint="f",
        status=201,
        body={"handles": [str(DOOR)]},
        answered_with=[[str(DOOR), 1]],
    )
    store.put(kept.collect_events())

    again = await writer.run(Submission(BuildDoor(), CommandContext(), once))

    assert again == built
