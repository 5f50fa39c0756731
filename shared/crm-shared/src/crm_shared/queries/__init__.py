"""Reading views: their live generation, waiting for a position, and cursors."""

from crm_shared.queries.cursors import read_cursor, read_place, write_cursor, write_place
from crm_shared.queries.views import View, Views

__all__ = ["View", "Views", "read_cursor", "read_place", "write_cursor", "write_place"]
