"""Snapshots: a long stream is loaded from its latest one, and nothing depends on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from crm_shared.application import Command, Submission, Unit, Writer
from crm_shared.application.held import SNAPSHOT_EVERY
from crm_shared.domain import Aggregate, derived_id
from crm_shared.postgres import EventSourcedApplication


class Tally(Aggregate):
    """Something that grows by an event at a time."""

    TOPIC = "test.snapshots.Tally"
    SNAPSHOT_LAYOUT = 1

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """Counting began."""

        TOPIC = "test.snapshots.Tally.Begun.v1"

    class Counted(Event):
        """One more."""

        TOPIC = "test.snapshots.Tally.Counted.v1"

        def apply(self, aggregate: "Tally") -> None:
            aggregate.counts = (*aggregate.counts, self.originator_version)

    def __init__(self) -> None:
        self.counts: tuple[int, ...] = ()

    def restored(self) -> None:
        self.counts = tuple(self.counts)


TALLY = derived_id("tally")


@dataclass(frozen=True, slots=True)
class Count(Command[int]):
    """Count one more; the sum so far."""

    @property
    def reads(self) -> Sequence[UUID]:
        return (TALLY,)

    def decide(self, unit: Unit) -> int:
        tally = unit.find(Tally, TALLY) or Tally._create(Tally.Created, id=TALLY)
        tally.trigger_event(Tally.Counted)
        unit.save(tally)
        return len(tally.counts)


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("tallies")


def snapshots(result: str) -> float:
    return REGISTRY.get_sample_value("relata_snapshots_total", {"result": result}) or 0.0


async def count(writer: Writer, times: int) -> int:
    outcome = None
    for _ in range(times):
        outcome = await writer.run(Submission(Count()))
    assert outcome is not None
    return outcome.value


def loaded(store: EventSourcedApplication) -> int:
    return len(store.ordered_recorder.select_latest({TALLY: 0}))


async def test_a_long_stream_is_loaded_from_its_latest_snapshot(
    store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    # given a stream with a snapshot and some events after it
    first = open_writer(store)
    await count(first, 2 * SNAPSHOT_EVERY + 10)
    first.close()

    # when another process goes on with it
    assert await count(open_writer(store), 1) == 2 * SNAPSHOT_EVERY + 11

    # then few rows say what it is, and it is what its events say
    assert loaded(store) < SNAPSHOT_EVERY
    whole = [event for event, _ in store.load({TALLY: 0})]
    tally: Tally | None = None
    for event in whole:
        tally = event.mutate(tally)
    ((snapshot, _), *later) = store.load_latest({TALLY: 0})
    short = snapshot.mutate(None)
    for event, _ in later:
        short = event.mutate(short)
    assert vars(short) == {**vars(tally), "_pending_events": []}


async def test_positions_are_answered_alike_from_a_snapshot(
    store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    first = open_writer(store)
    await count(first, SNAPSHOT_EVERY - 1)  # the stream begins with an event of its own
    first.close()

    outcome = await open_writer(store).run(Submission(Look()))

    assert loaded(store) == 1
    assert outcome.position == store.recorder.max_notification_id()


async def test_a_snapshot_of_another_layout_is_passed_over(
    store: EventSourcedApplication,
    open_writer: Callable[[EventSourcedApplication], Writer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = open_writer(store)
    await count(first, SNAPSHOT_EVERY + 5)
    first.close()

    monkeypatch.setattr(Tally, "SNAPSHOT_LAYOUT", 2)

    assert await count(open_writer(store), 1) == SNAPSHOT_EVERY + 6


async def test_a_snapshot_that_fails_fails_no_command(
    store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    # given an event store whose snapshots cannot be written
    before = snapshots("failed")
    with store.ordered_recorder.datastore.get_connection() as connection:
        connection.execute(f'DROP TABLE "{store.ordered_recorder.datastore.schema}".snapshots CASCADE')
        connection.execute(
            f'CREATE VIEW "{store.ordered_recorder.datastore.schema}".snapshots AS SELECT NULL::uuid AS originator_id,'
            " 0::bigint AS originator_version, ''::text AS layout, ''::bytea AS state, 0::bigint AS position"
        )

    counted = await count(open_writer(store), SNAPSHOT_EVERY + 5)

    assert counted == SNAPSHOT_EVERY + 5
    assert snapshots("failed") == before + 1


@dataclass(frozen=True, slots=True)
class Look(Command[int]):
    """The sum so far, without another event."""

    @property
    def reads(self) -> Sequence[UUID]:
        return (TALLY,)

    def decide(self, unit: Unit) -> int:
        return len(unit.get(Tally, TALLY).counts)
