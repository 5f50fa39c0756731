"""The errors that rules raise: each carries a stable code; only `crm_shared.http` knows status numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field of a request.

    `field` is a JSON pointer into the request body (`/identifiers/0/value`), or `?name` for a query parameter
    and `header:Name` for a header.
    """

    field: str
    code: str
    message: str


class RelataError(Exception):
    """Base of all errors that a caller can act on.

    `code` is stable and documented; `detail` is for people; `extra` becomes members of the problem document.
    """

    code = "error"
    title = "Something is wrong with this request"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = extra
        if code is not None:
            self.code = code


class InvalidInput(RelataError):
    """The request is well formed but breaks a rule about its values."""

    code = "validation_failed"
    title = "The request is not valid"

    @classmethod
    def at(cls, field: str, code: str, message: str) -> "InvalidInput":
        """An error about one field."""
        return cls(message, errors=[FieldError(field, code, message)])


class NotFound(RelataError):
    """What the request names does not exist."""

    code = "not_found"
    title = "Not found"


class Conflict(RelataError):
    """The request contradicts what is already recorded."""

    code = "conflict"
    title = "The request contradicts what is recorded"


class IdempotencyKeyReused(RelataError):
    """An `Idempotency-Key` came again with another request."""

    code = "idempotency_key_reused"
    title = "The idempotency key belongs to another request"


class PositionNotReached(RelataError):
    """A query asked for a log position that the view has not applied in time."""

    code = "position_not_reached"
    title = "The view has not reached the position"


class StoreUnavailable(RelataError):
    """A store could not be reached; the command may or may not have been stored."""

    code = "store_unavailable"
    title = "A store cannot be reached"
