"""`make bench ONLY=peers`: every side in turn, round by round, each time from its start on data of its own."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from benchmarks.harness import Bench
from benchmarks.peers.emmett.side import Emmett
from benchmarks.peers.eventsourced.side import EventSourced
from benchmarks.peers.handwritten.side import HandWritten
from benchmarks.peers.kills import kill_projector, kill_relay
from benchmarks.peers.relata import Relata, RelataAlone
from benchmarks.peers.side import Side
from benchmarks.peers.trial import Trial

Figures = Mapping[str, Mapping[str, Sequence[float]]]
"""Side, measure, the figure of each round."""

NAME = "peers"
ROUNDS = 3
SIDES: dict[str, type[Side]] = {side.name: side for side in (Relata, RelataAlone, HandWritten, EventSourced, Emmett)}


def chosen(names: Sequence[str] | None, tell: Callable[[str], None]) -> list[type[Side]]:
    """The sides of these names, or all; `tell` hears of each that cannot run here and is left out."""
    found = []
    for name, side in SIDES.items():
        if names and name not in names:
            continue
        if missing := side.missing():
            tell(f"{name} is left out: {missing}")
        else:
            found.append(side)
    return found


async def compare(bench: Bench, sides: Sequence[type[Side]]) -> list[Figures]:
    """One item: the figures of each side. Rest and kills are measured in the first round only."""
    figures: dict[str, dict[str, list[float]]] = {side.name: defaultdict(list) for side in sides}
    for number in range(1, bench.rounds + 1):
        for kind in sides if number % 2 else reversed(sides):
            begin = time.monotonic()
            for name, figure in (await _measure(bench, kind, number)).items():
                bench.note(f"{kind.name} {name} {figure:,.1f}")
                figures[kind.name][name].append(figure)
            bench.note(f"{kind.name} took {time.monotonic() - begin:.0f} s")
    return [figures]


async def _measure(bench: Bench, kind: type[Side], number: int) -> dict[str, float]:
    def report(text: str) -> None:
        bench.report(f"round {number} of {bench.rounds}, {kind.name}: {text}")
        bench.note(f"{kind.name}: {text}")

    report("starting")
    side = kind(bench.new_folder())
    async with side.running():
        trial = Trial(side, report)
        figures = await trial.measure(rest=number == 1)
        if number == 1 and side.kills_projector:
            figures |= await kill_projector(trial)
        if number == 1 and side.kills_relay:
            figures |= await kill_relay(trial)
    return figures
