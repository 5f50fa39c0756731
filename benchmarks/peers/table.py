"""How the comparison is shown: a row per measure and a column per side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchmarks.peers.comparison import SIDES, Figures
from relata_local.tables import Column, FittingTable

TITLES = {side: kind.title for side, kind in SIDES.items()}
OURS, THEIRS = "relata", "handwritten"
NOTHING = "-"


@dataclass(frozen=True)
class Measure:
    """One or two figures that make up a row, such as p50 and p99."""

    what: str
    names: tuple[str, ...]
    more_is_better: bool = False
    total: bool = False

    def of(self, name: str, figures: Mapping[str, Sequence[float]]) -> float | None:
        """The median of the rounds, or their sum where errors are counted; None where it was not measured."""
        found = figures.get(name)
        if not found:
            return None
        return sum(found) if self.total else statistics.median(found)

    def cell(self, figures: Mapping[str, Sequence[float]]) -> str:
        """The row's figures of a side."""
        found = [self.of(name, figures) for name in self.names]
        return " / ".join(NOTHING if value is None else _shown(value) for value in found)


MEASURES = (
    Measure("durable commands/s, 32 connections", ("commands",), more_is_better=True),
    Measure("visible at 50/s, p50 / p99, ms", ("visible-50-p50", "visible-50-p99")),
    Measure("visible at 300/s, p50 / p99, ms", ("visible-300-p50", "visible-300-p99")),
    Measure("processor time per purchase at 50/s / 300/s, ms", ("processor-50", "processor-300")),
    Measure("catch-up of a backlog of 5,000, events/s", ("catch-up",), more_is_better=True),
    Measure("at rest, % of a core", ("rest",)),
    Measure("without a kill, all rounds: counted twice / missing", ("twice", "missing"), total=True),
    Measure(
        "kill -9 of the projector, 5 times in 3,200: counted twice / missing", ("projector-twice", "projector-missing")
    ),
    Measure("back after that kill, s", ("back",)),
    Measure("kill -9 of the relay, 5 times in 3,200: counted twice / missing", ("relay-twice", "relay-missing")),
)


def rows(figures: Figures) -> list[dict[str, Any]]:
    """Each measure with its figures per side, and whether ours is at least as good as the hand-written one."""
    return [
        {
            "what": measure.what,
            "names": measure.names,
            "sides": {
                side: {name: list(of_side[name]) for name in measure.names if name in of_side}
                for side, of_side in figures.items()
            },
            "ahead": ahead(measure, figures),
        }
        for measure in MEASURES
    ]


def ahead(measure: Measure, figures: Figures) -> bool | None:
    """Whether every figure of ours is at least as good as that of the hand-written pipeline; None without both."""
    pairs = [[measure.of(name, figures.get(side, {})) for side in (OURS, THEIRS)] for name in measure.names]
    compared = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    if not compared:
        return None
    return all(ours >= theirs if measure.more_is_better else ours <= theirs for ours, theirs in compared)


def show(figures: Figures, on: Console) -> None:
    """The table for people: green where ours is at least as good as the hand-written pipeline, else red."""
    table = FittingTable("", [Column("", folding=True), *(Column(TITLES[side], folding=True) for side in figures)])
    for measure in MEASURES:
        colour = {True: "green", False: "red", None: "default"}[ahead(measure, figures)]
        cells = (
            f"[{colour}]{measure.cell(of_side)}[/]" if side == OURS else measure.cell(of_side)
            for side, of_side in figures.items()
        )
        table.add(measure.what, *cells)
    on.print(table)


def markdown(figures: Figures, about: Mapping[str, str], rounds: int) -> str:
    """The same for the document."""
    lines = [
        f"| | {' | '.join(TITLES[side] for side in figures)} |",
        f"| --- |{' ---: |' * len(figures)}",
    ]
    for measure in MEASURES:
        cells = (measure.cell(of_side) for of_side in figures.values())
        lines.append(f"| {measure.what} | {' | '.join(cells)} |")
    lines += ["", f"Medians of {rounds} rounds; kills and rest once. Measured on:", ""]
    return "\n".join([*lines, *(f"- {name}: {value}" for name, value in about.items())])


def _shown(value: float) -> str:
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}"
