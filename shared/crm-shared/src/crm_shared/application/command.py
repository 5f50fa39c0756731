"""A command: a value that says what it reads and what it decides; and what became of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin
from uuid import UUID

from crm_shared.application.unit import Unit
from crm_shared.domain.context import CommandContext

R = TypeVar("R")


class Command(Generic[R]):
    """Base of commands, each a frozen dataclass named in the imperative: `RecordPurchase(facts)`.

    HTTP requests, lines of an import, policies and tests run the same value. Its result `R` is a frozen dataclass, too,
    of what JSON can hold; one whose `created` is true answers 201 over HTTP.
    """

    __slots__ = ()

    result: ClassVar[type[Any]]
    """The type of its result: `R`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Command:
                (cls.result,) = get_args(base)

    @property
    def reads(self) -> Sequence[UUID]:
        """The aggregates that it will look at: those of a whole batch are loaded in one round trip."""
        return ()

    def follows(self, unit: Unit) -> Iterable[UUID]:
        """The aggregates that it will look at next, found in what `reads` loaded."""
        return ()

    @property
    def occurred_at(self) -> datetime | None:
        """When what it reports happened, if that differs from when it is stored."""
        return None

    def decide(self, unit: Unit) -> R:
        """Look, decide, save; raises a `RelataError` to reject. Runs on the writer's thread."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes a command run at most once: its caller's key, and a fingerprint that tells its request from others."""

    service: str
    caller: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Submission(Generic[R]):
    """A command with its circumstances, as the writer takes it."""

    command: Command[R]
    context: CommandContext = field(default_factory=CommandContext)
    once: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What a command answered and where it stands in the log.

    `position` is the log position of the last event that the command stored, or, when it stored none, of the last event
    of the aggregates that it loaded; 0 when there is no such event. A command that repeats an earlier answer repeats
    its position, too.
    """

    value: R
    position: int
