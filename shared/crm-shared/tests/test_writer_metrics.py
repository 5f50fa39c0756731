"""What the writer tells Prometheus: commands by what became of them, and how many shared a transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import REGISTRY

from crm_shared.application import Command, Submission, Unit, Writer
from crm_shared.domain import Aggregate, Conflict, derived_id
from crm_shared.postgres import EventSourcedApplication


class Lamp(Aggregate):
    """Something to store."""

    TOPIC = "test.writer_metrics.Lamp"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """Somebody made it."""

        TOPIC = "test.writer_metrics.Lamp.Made.v1"


@dataclass(frozen=True, slots=True)
class MakeLamp(Command[None]):
    """Make one; refused below zero, and a mistake at zero."""

    number: int

    def decide(self, unit: Unit) -> None:
        if self.number < 0:
            raise Conflict("no")
        unit.save(Lamp._create(Lamp.Created, id=derived_id("lamp", str(100 // self.number))))


def make(number: int) -> Submission[None]:
    return Submission(MakeLamp(number))


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_commands_are_counted_by_what_became_of_them(
    open_event_store: Callable[[str], EventSourcedApplication], open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    # given
    writer = open_writer(open_event_store("lamps"))
    results = ("accepted", "rejected", "failed")
    before = {result: sample("relata_commands_total", result=result) for result in results}
    batches = sample("relata_writer_batch_commands_count")
    commands = sample("relata_writer_batch_commands_sum")

    # when
    await writer.run_all([make(1), make(-1), make(2), make(0), make(3)])
    await writer.run(make(4))

    # then
    counted = {result: sample("relata_commands_total", result=result) - before[result] for result in results}
    assert counted == {"accepted": 4, "rejected": 1, "failed": 1}
    assert sample("relata_writer_batch_commands_count") - batches == 2
    assert sample("relata_writer_batch_commands_sum") - commands == 4
