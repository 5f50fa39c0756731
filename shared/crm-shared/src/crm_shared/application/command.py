"""A command: what it reads and decides, and what it answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from crm_shared.application.unit import Unit
from crm_shared.domain.context import CommandContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a command answered and where it stands in the log.

    `position` is the log position of the last event that the command stored, or, when it stored none, of the
    last event of the aggregates that it loaded; 0 when there is no such event. A command that repeats an earlier
    answer repeats its position too.
    """

    value: T
    position: int


@dataclass(frozen=True)
class Command(Generic[T]):
    """A decision to be taken on the writer's thread.

    `decide` receives the `Unit` and returns the answer, or raises a `RelataError` to reject the command.
    `reads` are the ids that it will look at, so that a whole batch is loaded in one round trip; `follows` finds,
    in what these loaded, the ids that it will look at next.
    """

    decide: Callable[[Unit], T]
    context: CommandContext = field(default_factory=CommandContext)
    reads: tuple[UUID, ...] = ()
    follows: Callable[[Unit], Iterable[UUID]] | None = None
