"""Who and what caused a command: the context that every stored and public event carries."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

# Seeded by the system once. These ids must be unique, not secret; asking the system gives up the interpreter, four
# times per command, and under load it is the writer's thread that has it then.
_draw = random.Random()  # noqa: S311 - see above


ANONYMOUS: Final = "anonymous"
"""The actor of a command whose caller did not say who it is."""


def new_id() -> str:
    """A random lower-case UUID."""
    # The same as str(uuid4()) in half its time; every command needs one.
    text = f"{_draw.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_draw.choice('89ab')}{text[17:20]}-{text[20:]}"


def new_traceparent() -> str:
    """A fresh W3C trace context, version 00, sampled."""
    return f"00-{_draw.getrandbits(128):032x}-{_draw.getrandbits(64):016x}-01"


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The circumstances of one command.

    `command_id` is unique per accepted command: it tells a stored command from a conflicting one after a lost
    connection. `correlation_id` names the whole chain, `causation_id` the step before. `actor` is an opaque id,
    never a name or an address.
    """

    command_id: str = field(default_factory=new_id)
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ANONYMOUS
    traceparent: str = field(default_factory=new_traceparent)

    def stamp(self) -> dict[str, str]:
        """The part that is stored with every event."""
        return {
            "command_id": self.command_id,
            "correlation_id": self.correlation_id or self.command_id,
            "causation_id": self.causation_id or self.command_id,
            "actor": self.actor,
            "traceparent": self.traceparent,
        }


_current: ContextVar[tuple[CommandContext, datetime | None] | None] = ContextVar("relata_command", default=None)


def current_context() -> tuple[CommandContext, datetime | None]:
    """The context of the command being decided, and when what it reports happened if that is not now.

    Outside of any command: a fresh context.
    """
    return _current.get() or (CommandContext(), None)


@contextmanager
def command_context(context: CommandContext, occurred_at: datetime | None = None) -> Iterator[None]:
    """Make `context` the current one for the duration of a decision about what happened at `occurred_at`."""
    token = _current.set((context, occurred_at))
    try:
        yield
    finally:
        _current.reset(token)
