"""Idempotency keys: a retried command gets the result that the first attempt got."""

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from crm_contracts.ids import derived_id
from crm_shared.application.command import Command, IdempotencyKey, R
from crm_shared.application.unit import Unit
from crm_shared.domain.aggregate import Aggregate
from crm_shared.domain.context import ANONYMOUS
from crm_shared.domain.errors import IdempotencyKeyReused


class IdempotencyRecord(Aggregate):
    """The result of the command that ran for one key, stored with the events that it reports."""

    TOPIC = "crm.IdempotencyRecord"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The key was used; `fingerprint` tells this request from others."""

        TOPIC = "crm.IdempotencyRecord.Created.v2"
        fingerprint: str
        result: dict[str, Any]
        answered_with: list[list[Any]]

    class CreatedWithStatus(Event, Aggregate.Created):
        """The same as it was stored at first: with what HTTP answered, a status and a body."""

        TOPIC = "crm.IdempotencyRecord.Created.v1"
        fingerprint: str
        status: int
        body: dict[str, Any]
        answered_with: list[list[Any]]

    def __init__(
        self,
        fingerprint: str,
        answered_with: list[list[Any]],
        result: dict[str, Any] | None = None,
        status: int = 200,
        body: dict[str, Any] | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.result = result if result is not None else {"created": status == 201, **(body or {})}
        # [stream id, version] of each event of which the latest one's position was the answer's.
        self.answered_with = answered_with

    @staticmethod
    def create_id(once: IdempotencyKey) -> UUID:
        """One record per service, caller and key."""
        caller = () if once.caller == ANONYMOUS else (once.caller,)
        return derived_id("idempotency", once.service, *caller, once.key)


def decide_once(command: Command[R], once: IdempotencyKey, unit: Unit) -> R:
    """Decide the command, or repeat the result that it had for this key.

    Only accepted commands are remembered: after a rejection the same key may be tried again.
    Raises `IdempotencyKeyReused` when the key came before with another fingerprint.
    """
    record_id = IdempotencyRecord.create_id(once)
    results = _adapter(command.result)
    record = unit.find(IdempotencyRecord, record_id)
    if record is not None:
        if record.fingerprint != once.fingerprint:
            raise IdempotencyKeyReused("this Idempotency-Key was used for another request")
        unit.repeat((UUID(stream_id), version) for stream_id, version in record.answered_with)
        repeated: R = results.validate_python(record.result)
        return repeated
    result = command.decide(unit)
    created = IdempotencyRecord._create(
        IdempotencyRecord.Created,
        id=record_id,
        fingerprint=once.fingerprint,
        result=results.dump_python(result, mode="json"),
        answered_with=[[str(stream_id), version] for stream_id, version in unit.answered_with],
    )
    unit.note(created)
    return result


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(result: type[Any]) -> TypeAdapter[Any]:
    """What turns results of a type into JSON and back."""
    if result not in _adapters:
        _adapters[result] = TypeAdapter(result)
    return _adapters[result]
