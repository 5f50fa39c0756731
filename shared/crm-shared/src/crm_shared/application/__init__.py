"""Deciding: commands, what they see and save, and the writer that runs them."""

from crm_shared.application.command import Command, IdempotencyKey, Outcome, Submission
from crm_shared.application.unit import Unit
from crm_shared.application.writer import Writer

__all__ = ["Command", "IdempotencyKey", "Outcome", "Submission", "Unit", "Writer"]
