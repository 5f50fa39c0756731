"""Deciding: commands, what they see and save, and the writer that runs them."""

from crm_shared.application.command import Command, Outcome
from crm_shared.application.idempotency import Answer, idempotent
from crm_shared.application.unit import Unit
from crm_shared.application.writer import Writer

__all__ = ["Answer", "Command", "Outcome", "Unit", "Writer", "idempotent"]
