"""Rules as sentences, without any server: given what happened, when a command is run, then this is stored.

given(PublishSurvey("s", "Survey", QUESTIONS)).when(AnswerSurvey("s", ...)).refused("out_of_scale", at="/answers/nps")
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_shared.application.command import Command, Submission
from crm_shared.application.held import HeldAggregates
from crm_shared.application.unit import Unit
from crm_shared.application.writer import decide
from crm_shared.domain.context import CommandContext
from crm_shared.domain.errors import RelataError


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored event that is expected: its class, and those of its facts that matter."""

    kind: type[Any]
    facts: Mapping[str, Any]


def stored(kind: type[Any], **facts: Any) -> Stored:
    """An event of this class with these facts; facts that are not named may be anything."""
    return Stored(kind, facts)


@dataclass
class _MemoryLog:
    """An event store in memory: what the rules see of PostgreSQL."""

    events: list[Any] = field(default_factory=list)
    streams: dict[UUID, list[tuple[Any, int]]] = field(default_factory=lambda: defaultdict(list))

    def put(self, events: Sequence[Any]) -> None:
        """Append events; a position is a count from 1."""
        for event in events:
            self.events.append(event)
            self.streams[event.originator_id].append((event, len(self.events)))

    def load(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """As the event store has it."""
        return [
            (event, position)
            for stream_id, version in versions.items()
            for event, position in self.streams.get(stream_id, ())
            if event.originator_version > version
        ]

    load_latest = load


class Given:
    """What happened before."""

    def __init__(self, past: Sequence[Any]) -> None:
        self._log = _MemoryLog()
        for one in past:
            if isinstance(one, Command):
                self._run(one)
            else:
                self._log.put([one])

    def when(self, command: Command[Any], *, actor: str = "tester") -> "Then":
        """Run a command."""
        before = len(self._log.events)
        try:
            result = self._run(command, actor)
        except RelataError as error:
            return Then((), None, error)
        return Then(self._log.events[before:], result, None)

    def _run(self, command: Command[Any], actor: str = "tester") -> Any:
        held = HeldAggregates(self._log)
        held.begin(command.reads)
        held.read(command.follows(Unit(held)))
        unit = Unit(held)
        result = decide(Submission(command, CommandContext(actor=actor)), unit)
        self._log.put(unit.events)
        return result


def given(*past: Any) -> Given:
    """Start with what happened: commands, which are run, or stored events; nothing for an empty store."""
    return Given(past)


@dataclass(frozen=True)
class Then:
    """What came of the command: each method fails the test unless it holds, and returns itself."""

    events: Sequence[Any]
    result: Any
    error: RelataError | None

    def then(self, *expected: Stored) -> "Then":
        """Exactly these events were stored, in this order; none for a command that changed nothing."""
        self._accepted()
        assert [type(event) for event in self.events] == [one.kind for one in expected]
        for event, one in zip(self.events, expected, strict=True):
            assert {name: getattr(event, name) for name in one.facts} == dict(one.facts)
        return self

    def answers(self, result: Any) -> "Then":
        """The command's result equals this one."""
        self._accepted()
        assert self.result == result
        return self

    def refused(self, code: str, *, at: str | None = None) -> "Then":
        """The command was refused with this code, its own or that of the field at this pointer; nothing was stored."""
        assert self.error is not None, f"accepted: {self.result!r}"
        fields = {one.field: one.code for one in self.error.errors}
        if at is not None:
            assert fields.get(at) == code, f"refused with {self.error.code}: {fields}"
        else:
            assert code in (self.error.code, *fields.values()), f"refused with {self.error.code}: {fields}"
        return self

    def _accepted(self) -> None:
        assert self.error is None, f"refused: {self.error!r}"
