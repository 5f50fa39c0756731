"""Who and what caused a command: the context that every stored and public event carries."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

# Seeded by the system once. These ids must be unique, not secret; asking the system gives up the interpreter, four
# times per command, and under load it is the writer's thread that has it then.
_draw = random.Random()  # noqa: S311 - see above


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
    never a name or an address. `occurred_at` is when it happened, if that differs from when it is stored.
    """

    command_id: str = field(default_factory=new_id)
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = "anonymous"
    traceparent: str = field(default_factory=new_traceparent)
    occurred_at: datetime | None = None

    def stamp(self) -> dict[str, str]:
        """The part that is stored with every event."""
        return {
            "command_id": self.command_id,
            "correlation_id": self.correlation_id or self.command_id,
            "causation_id": self.causation_id or self.command_id,
            "actor": self.actor,
            "traceparent": self.traceparent,
        }


_current: ContextVar[CommandContext | None] = ContextVar("relata_command_context", default=None)


def current_context() -> CommandContext:
    """The context of the command being decided; a fresh one outside of any command."""
    return _current.get() or CommandContext()


@contextmanager
def command_context(context: CommandContext) -> Iterator[CommandContext]:
    """Make `context` the current one for the duration of a decision."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
