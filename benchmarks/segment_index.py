"""What one change of a customer's facts costs in the segment index, as the number of segments grows.

Four changes, each with the evaluation of the segments that it visits:
  passes nothing    a whole number moves by one between two thresholds
  passes one        a whole number moves by one onto a threshold or back
  further purchase  count, revenue, average and last time move a little, among segments of two comparisons that
                    watch these, interactions and tags
  first purchase    the same values appear for the first time, and so meet about half of all comparisons at once
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, pairwise
from time import perf_counter
from typing import Any

from benchmarks.harness import Bench, Row, ratios
from segmentation_service.conditions import SegmentIndex, evaluate, parse
from segmentation_service.facts import Facts, stored_time

NAME = "segments"
SIZES = (100, 1_000, 5_000)
STEP = 1_000
BEGIN = datetime(1997, 1, 1, tzinfo=UTC)


def by_points(size: int) -> SegmentIndex:
    """Segments by a whole number, their thresholds a thousand apart."""
    return SegmentIndex(
        {f"s{n}": parse({"field": "attributes.points", "op": "gte", "value": n * STEP}) for n in range(size)}
    )


def mixed(size: int) -> SegmentIndex:
    """Segments of two comparisons each, over the fields that marketing uses, thresholds spread over their range."""

    def one(n: int) -> dict[str, Any]:
        share = n / size
        day = (BEGIN + timedelta(days=3650 * share)).isoformat()
        leaves = (
            ("purchases.count", "gte", 2 + int(1_000 * share)),
            ("purchases.revenue.USD", "gt", f"{100_000 * share:.2f}"),
            ("purchases.average.USD", "lt", f"{1 + 1_000 * share:.2f}"),
            ("purchases.last_at", "before", day),
            ("interactions.count", "lte", int(1_000 * share)),
            ("tags", "contains", f"tag{n}"),
        )
        picked = (leaves[n % 6], leaves[n // 6 % 6])
        return {"all": [{"field": field, "op": op, "value": value} for field, op, value in picked]}

    return SegmentIndex({f"s{n}": parse(one(n)) for n in range(size)})


def with_points(points: int) -> Facts:
    """Facts of a customer with so many points."""
    return {"contacts": {"identified": True, "attributes": {"points": points}}, "interactions": {}, "feedback": {}}


def bought(number: int) -> list[Facts]:
    """The facts after none, one, two, ... purchases of the price of a compact disc, a day apart."""
    states: list[Facts] = [{"contacts": {}, "interactions": {}, "feedback": {}}]
    for n in range(number):
        purchases = {
            "count": n + 1,
            "first_at": stored_time(BEGIN),
            "last_at": stored_time(BEGIN + timedelta(days=n)),
            "by_currency": {"USD": {"count": n + 1, "revenue": f"{14.99 * (n + 1):.2f}", "average": "14.99"}},
        }
        states.append({**states[0], "interactions": {"purchases": purchases}})
    return states


def run_of(index: SegmentIndex, changes: Iterable[tuple[Facts, Facts]], repeats: int) -> Callable[[], None]:
    """What a projector does with these changes."""
    repeated = list(islice(cycle(changes), repeats))

    def run() -> None:
        for before, after in repeated:
            for key in index.affected(before, after):
                evaluate(index.conditions[key], after)

    return run


def measure(rounds: int) -> dict[str, dict[int, list[float]]]:
    """Microseconds per change, by kind of change and number of segments."""
    states = bought(50)
    runs: dict[str, dict[int, tuple[int, Callable[[], None]]]] = {}
    for size in SIZES:
        points, watching = by_points(size), mixed(size)
        at = size // 2 * STEP
        between, onto = (with_points(at + 500), with_points(at + 501)), (with_points(at - 1), with_points(at))
        for name, index, changes, repeats in (
            ("passes nothing", points, [between, between[::-1]], 5_000),
            ("passes one", points, [onto, onto[::-1]], 5_000),
            ("further purchase", watching, list(pairwise(states))[10:], 2_000),
            ("first purchase", watching, [(states[0], states[1])], 20),
        ):
            runs.setdefault(name, {})[size] = repeats, run_of(index, changes, repeats)
    # The sizes take turns, so that a slow moment of the machine meets all of them.
    results: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in runs}
    for name, by_size in runs.items():
        for size in SIZES * (1 + rounds):
            repeats, run = by_size[size]
            begin = perf_counter()
            run()
            results[name][size].append((perf_counter() - begin) / repeats * 1e6)
        for size in SIZES:
            # The first round warms up.
            del results[name][size][0]
    return results


async def run(bench: Bench) -> list[Row]:
    """The cost at the most segments over the cost at the fewest, for the small changes."""
    bench.report("indexing segments")
    least, most = SIZES[0], SIZES[-1]
    return [
        Row(
            f"segments-{name.replace(' ', '-')}",
            f"segment evaluation, {least} -> {most:,} segments: {name}",
            f"the cost at {least}",
            ratios(figures[most], figures[least]),
            2.0,
            at_least=False,
            absolute={f"{size:,}": figures[size] for size in SIZES},
            absolute_unit="us per change",
        )
        for name, figures in measure(max(bench.rounds, 7)).items()
        if name != "first purchase"
    ]
