"""Idempotency keys: a retried command gets the answer that the first attempt got."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_contracts.ids import derived_id
from crm_shared.application.command import Command
from crm_shared.application.unit import Unit
from crm_shared.domain.aggregate import Aggregate
from crm_shared.domain.errors import IdempotencyKeyReused


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers over HTTP: the status and a JSON object; the writer knows the position."""

    status: int
    body: dict[str, Any]


class IdempotencyRecord(Aggregate):
    """The answer that was given for one `Idempotency-Key`, stored with the events that it reports."""

    TOPIC = "crm.IdempotencyRecord"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The key was used; `fingerprint` tells this request from others."""

        TOPIC = "crm.IdempotencyRecord.Created.v1"
        fingerprint: str
        status: int
        body: dict[str, Any]
        answered_with: list[list[Any]]

    def __init__(self, fingerprint: str, status: int, body: dict[str, Any], answered_with: list[list[Any]]) -> None:
        self.fingerprint = fingerprint
        self.status = status
        self.body = body
        # [stream id, version] of each event of which the latest one's position was the answer's.
        self.answered_with = answered_with

    @staticmethod
    def create_id(service: str, key: str) -> UUID:
        """One record per service and key."""
        return derived_id("idempotency", service, key)


def idempotent(command: Command[Answer], *, service: str, key: str, fingerprint: str) -> Command[Answer]:
    """The same command, decided at most once for this key.

    Only accepted commands are remembered: after a rejection the same key may be tried again.
    Raises `IdempotencyKeyReused` when the key came before with another fingerprint.
    """
    record_id = IdempotencyRecord.create_id(service, key)
    decide: Callable[[Unit], Answer] = command.decide

    def once(unit: Unit) -> Answer:
        record = unit.find(IdempotencyRecord, record_id)
        if record is not None:
            if record.fingerprint != fingerprint:
                raise IdempotencyKeyReused("this Idempotency-Key was used for another request")
            unit.repeat((UUID(stream_id), version) for stream_id, version in record.answered_with)
            return Answer(record.status, record.body)
        answer = decide(unit)
        created = IdempotencyRecord._create(
            IdempotencyRecord.Created,
            id=record_id,
            fingerprint=fingerprint,
            status=answer.status,
            body=answer.body,
            answered_with=[[str(stream_id), version] for stream_id, version in unit.answered_with],
        )
        unit.note(created)
        return answer

    return Command(once, command.context, (record_id, *command.reads), command.follows)
