"""What a rule may know: aggregates, errors, and the context of the command at hand."""

from crm_contracts.ids import derived_id
from crm_shared.domain.aggregate import Aggregate
from crm_shared.domain.context import CommandContext, command_context, current_context
from crm_shared.domain.errors import (
    Conflict,
    FieldError,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    PositionNotReached,
    RelataError,
    StoreUnavailable,
)

__all__ = [
    "Aggregate",
    "CommandContext",
    "Conflict",
    "FieldError",
    "IdempotencyKeyReused",
    "InvalidInput",
    "NotFound",
    "PositionNotReached",
    "RelataError",
    "StoreUnavailable",
    "command_context",
    "current_context",
    "derived_id",
]
