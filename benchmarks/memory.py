"""The memory of each service's process, with all its roles: after its start, and while purchases pass through all."""

import httpx
import psutil

from benchmarks.harness import Bench, Row
from benchmarks.processes import pass_through
from benchmarks.purchases import customer_ids
from relata_local import Stack

NAME = "memory"
MEGABYTE = 1_000_000
CUSTOMERS = 2_000
PER_IMPORT = 5_000
# Purchases of one customer come in runs, as a load of history does.
RUN = 50
TARGET_MB = 150.0
# By then caches are full and every path has been taken.
SETTLED_AFTER = 0.4

SEGMENT = {"name": "Repeat buyers", "condition": {"field": "purchases.count", "op": "gte", "value": 2}}


async def run(bench: Bench) -> list[Row]:
    """Memory is the resident set, read whenever all views have caught up with an import."""
    stack = Stack(bench.new_folder())
    bench.report("starting the services")
    stack.start()
    try:
        begin = resident(stack)
        samples: list[dict[str, float]] = []
        async with httpx.AsyncClient(timeout=30) as client:
            defined = await client.put(f"{stack.url('segmentation')}/v1/segments/repeat", json=SEGMENT)
        assert defined.status_code == 201, defined.text
        known = customer_ids(CUSTOMERS)
        for start in range(0, bench.memory_events, PER_IMPORT):
            bench.report(f"{start:,} of {bench.memory_events:,} purchases")
            await pass_through(stack, [known[(start + number) // RUN % CUSTOMERS] for number in range(PER_IMPORT)])
            samples.append(resident(stack))
    finally:
        stack.stop()
    settled = samples[int(len(samples) * SETTLED_AFTER) :]
    growth = {name: settled[-1][name] / settled[0][name] for name in begin}
    events = f"{bench.memory_events:,} purchases"
    rows = [
        Row(
            f"memory-{name}",
            f"memory of {name}, all roles",
            f"the most during {events}",
            [max(one[name] for one in samples)],
            TARGET_MB,
            unit="MB",
            at_least=False,
            absolute={"after start": [begin[name]], "at the end": [samples[-1][name]]},
            absolute_unit="MB",
        )
        for name in begin
    ]
    most = max(growth, key=lambda name: growth[name])
    rows.append(
        Row(
            "memory-growth",
            f"memory after {events}, all services",
            f"after {SETTLED_AFTER:.0%} of them",
            list(growth.values()),
            1.05,
            at_least=False,
            note=f"the most: {most}",
        )
    )
    return rows


def resident(stack: Stack) -> dict[str, float]:
    """Megabytes per service."""
    return {name: psutil.Process(service.pid).memory_info().rss / MEGABYTE for name, service in stack.services.items()}
