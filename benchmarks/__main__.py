"""`python -m benchmarks`: runs all benchmarks or those named, shows the table, or writes JSON or the document."""

import argparse
import asyncio
import gc
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import (
    consumer,
    growth,
    http_command,
    imports,
    live,
    memory,
    rebuild,
    relay,
    report,
    segment_index,
    visible,
)
from benchmarks.harness import Bench
from benchmarks.peers import comparison, table
from relata_local.tables import console

BENCHMARKS: tuple[ModuleType, ...] = (
    http_command,
    imports,
    relay,
    consumer,
    live,
    rebuild,
    segment_index,
    visible,
    memory,
)


def main() -> None:
    """With `--check`, exit with 1 when a target is missed, so that a script can tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [one.NAME for one in BENCHMARKS]
    parser.add_argument(
        "only",
        nargs="*",
        metavar="name",
        help=f"all of these when none is given: {', '.join(names)}; or {comparison.NAME}",
    )
    parser.add_argument("--rounds", type=int, help=f"how often the sides take turns (5; {comparison.ROUNDS} for peers)")
    parser.add_argument("--side", action="append", choices=list(comparison.SIDES), help="of peers, only this side")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch the way to the 360 (60)")
    parser.add_argument("--million", action="store_true", help="memory over a million events, not 100,000")
    parser.add_argument("--json", action="store_true", help="write JSON to the standard output, not a table")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/reference/performance.md")
    parser.add_argument("--growth", action="store_true", help="instead, sweep customers, events, segments, partitions")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    parser.add_argument("--verbose", action="store_true", help="print every figure as it comes")
    said = parser.parse_args()
    peers = said.only == [comparison.NAME]
    if comparison.NAME in said.only and not peers:
        parser.error(f"{comparison.NAME} takes long and runs alone")
    if said.side and (not peers or said.write_docs):
        parser.error("--side is for looking at one side of peers, and the document shows all of them")
    said.rounds = said.rounds or (comparison.ROUNDS if peers else 5)
    unknown = set(said.only) - {*names, comparison.NAME}
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(names)}")

    # Otherwise a stopped run would leave its servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    about = report.machine()
    # As services do: what is compared runs in this process, too.
    gc.set_threshold(20_000, 50, 100)
    if said.growth:
        found = _measure({"growth": growth.run}, said)
        if said.write_docs:
            report.write_document("growth", growth.markdown(found))
        print(json.dumps({"machine": about, "growth": found}, indent=2) if said.json else growth.markdown(found))
        return
    if peers:
        _compare(said, about)
        return
    chosen = {one.NAME: one.run for one in BENCHMARKS if not said.only or one.NAME in said.only}
    results = [row.as_json() for row in _measure(chosen, said)]
    if said.write_docs:
        report.write_document("table", report.markdown(results, about))
    if said.json:
        print(json.dumps({"machine": about, "rows": results}, indent=2))
    else:
        report.show(results, console())
    if said.check and not all(row["met"] for row in results):
        raise SystemExit(1)


def _compare(said: argparse.Namespace, about: dict[str, str]) -> None:
    sides = comparison.chosen(said.side, Console(stderr=True).print)
    [figures] = _measure({comparison.NAME: lambda bench: comparison.compare(bench, sides)}, said)
    if said.write_docs:
        report.write_document(comparison.NAME, table.markdown(figures, about, said.rounds))
    if said.json:
        print(json.dumps({"machine": about, "rounds": said.rounds, "rows": table.rows(figures)}, indent=2))
    else:
        table.show(figures, console())
    if said.check and not all(row["ahead"] in {True, None} for row in table.rows(figures)):
        raise SystemExit(1)


def _measure(chosen: dict[str, Callable[[Bench], Any]], said: argparse.Namespace) -> list[Any]:
    results: list[Any] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="relata-bench-") as folder,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("", total=len(chosen))
        for name, measure in chosen.items():
            begin = time.monotonic()
            bench = Bench(
                folder=Path(folder) / name,
                rounds=said.rounds,
                visible_seconds=said.seconds,
                memory_events=1_000_000 if said.million else 100_000,
                report=partial(_describe, progress, task, name),
                note=progress.console.print if said.verbose else lambda _: None,
            )
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                results += runner.run(measure(bench))
            progress.advance(task)
            progress.console.print(f"{name} took {time.monotonic() - begin:.0f} s")
            gc.collect()
    return results


def _describe(progress: Progress, task: TaskID, name: str, text: str) -> None:
    progress.update(task, description=f"{name}: {text}")


if __name__ == "__main__":
    main()
