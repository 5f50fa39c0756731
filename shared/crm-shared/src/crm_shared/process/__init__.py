"""A service as a process: its definition, its connections, its command line."""

from crm_shared.process.command_line import run
from crm_shared.process.definition import ROLES, Definition
from crm_shared.process.event_store import create_schema
from crm_shared.process.runtime import Runtime, open_runtime
from crm_shared.process.serving import serve

__all__ = ["ROLES", "Definition", "Runtime", "create_schema", "open_runtime", "run", "serve"]
