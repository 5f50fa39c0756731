"""Tables are readable into a pipe and on a narrow terminal."""

import io

import pytest
from rich.console import Console

from relata_local.display import status_tables
from relata_local.health import DEAD, OK, ServiceHealth, StackHealth
from relata_local.tables import console

REPORT = {
    "events_stored": 123456,
    "last_position": 123456,
    "published_position": 123450,
    "projections": [{"name": "segmentation-service.memberships", "lag": 12, "parked": 0}],
}
HEALTH = StackHealth(
    {
        "segmentation": ServiceHealth(OK, report=REPORT),
        "contacts": ServiceHealth("not ready", ("mongodb", "projection contacts-service.customers"), report=REPORT),
        "customer360": ServiceHealth(DEAD, error="ConnectError"),
    },
    {"kafka": DEAD, "postgres": OK},
)


def drawn(width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(*status_tables(HEALTH))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 70, 80, 100, 160])
def test_the_status_fits_and_always_tells_health_and_lag(width: int) -> None:
    lines = drawn(width)
    text = "\n".join(lines)

    assert max(map(len, lines)) <= width
    assert "…" not in text
    for word in ("segmentation", "customer360", "dead", "not ready", "lag", "12"):
        assert word in text


def heading(lines: list[str]) -> str:
    return next(line for line in lines if "service" in line and "lag" in line)


def test_where_it_is_narrow_the_lesser_columns_go() -> None:
    assert "published" in heading(drawn(160))
    assert "published" not in heading(drawn(60))


def test_into_a_pipe_a_table_is_as_wide_as_it_needs_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()

    console(out).print(*status_tables(HEALTH))

    titles = heading(out.getvalue().splitlines())
    assert all(word in titles for word in ("events", "position", "published", "projection", "parked"))


def test_who_says_how_wide_it_is_gets_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    out = io.StringIO()

    console(out).print(*status_tables(HEALTH))

    assert max(map(len, out.getvalue().splitlines())) <= 70
