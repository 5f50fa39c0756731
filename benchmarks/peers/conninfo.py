"""Where PostgreSQL is, for programs and for who looks at their views."""

from collections.abc import Mapping

from psycopg.conninfo import make_conninfo


def conninfo(environment: Mapping[str, str]) -> str:
    """Where these variables say that PostgreSQL is."""
    names = {"host": "HOST", "port": "PORT", "dbname": "DBNAME", "user": "USER", "password": "PASSWORD"}
    return make_conninfo(**{name: environment[f"POSTGRES_{variable}"] for name, variable in names.items()})
