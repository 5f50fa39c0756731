"""From a policy's decision to a command that runs once: its circumstances and its key, and what became of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from crm_contracts.envelope import PublicEvent
from crm_shared.application.command import Command, IdempotencyKey, Submission
from crm_shared.application.writer import Writer
from crm_shared.domain.context import CommandContext
from crm_shared.domain.errors import StoreUnavailable
from crm_shared.observability import crash_points
from crm_shared.policies.chains import actor_of_next_link
from crm_shared.projections.projection import Failure

Planned = tuple[PublicEvent, Submission[Any]]


def submissions(
    service: str, policy: str, event: PublicEvent, commands: Iterable[Command[Any]], *, once: bool
) -> list[Submission[Any]]:
    """The commands that follow from an event, as the writer takes them.

    The service is their actor and the event their cause, in the event's chain. With `once` each has a key made of the
    policy, the event and the command's place among those of the event. Raises `ChainTooLong`.
    """
    submitted: list[Submission[Any]] = []
    for index, command in enumerate(commands):
        context = CommandContext(
            correlation_id=event.correlation_id,
            causation_id=event.id,
            actor=actor_of_next_link(service, event),
            traceparent=event.traceparent,
        )
        # No caller's name holds a space, so no request can use up a policy's key.
        key = IdempotencyKey(service, f"policy {policy}", f"{event.id}#{index}", fingerprint="") if once else None
        submitted.append(Submission(command, context, key))
    return submitted


async def run_planned(writer: Writer, planned: Sequence[Planned]) -> dict[str, Failure]:
    """Run commands in their order; per key the first event of which one was refused.

    Raises `StoreUnavailable` when the event store cannot be reached: then all of them are to be tried again.
    """
    if not planned:
        return {}
    refused: dict[str, Failure] = {}
    outcomes = await writer.run_all([submission for _, submission in planned])
    for (event, _), outcome in zip(planned, outcomes, strict=True):
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        if isinstance(outcome, Exception):
            refused.setdefault(event.key, Failure(event, outcome))
    crash_points.reach("after_decisions")
    return refused
