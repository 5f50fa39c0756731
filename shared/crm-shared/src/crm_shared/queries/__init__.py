"""Reading views: their live generation, waiting for a position, and cursors."""

from crm_shared.queries.cursors import read_cursor, write_cursor

__all__ = ["read_cursor", "write_cursor"]
