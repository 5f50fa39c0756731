"""From a command over HTTP to its effect in the customer 360, at a fixed rate of commands.

Nobody asks for each of the customers: one watcher reads, every 10 ms, how far the 360's projection has come in each
partition, which is what a query with `?after=` waits for and is written after the document. A purchase is visible from
the first such reading that has passed its log position in its customer's partition. Every purchase is so measured, the
store answers 100 small reads a second, and a delay is up to 10 ms longer than in truth. It begins when the request
was due, not when a connection was free.
"""

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import httpx
import psutil
from pymongo import AsyncMongoClient

import customer360_service.projections
from benchmarks.harness import Bench, Row
from benchmarks.processes import load, pass_through
from benchmarks.purchases import customer_ids
from crm_shared.kafka import Kafka
from crm_shared.mongo import Document
from crm_shared.projections.generations import Generations
from crm_shared.projections.progress import Progress
from relata_local import Stack

NAME = "visible"
RATE = 300
CONNECTIONS = 64
CUSTOMERS = 5_000
WARM_UP_SECONDS = 5.0
SLICES = 6
LOOK_SECONDS = 0.01
GIVE_UP_SECONDS = 60.0


class Watcher:
    """Notes when the projection had come how far, per partition."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        database = client["customer360"]
        projection = customer360_service.projections.CUSTOMERS.name
        self._progress = Progress(database, projection, Generations(database), only=1)
        self._seen: dict[int, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))

    async def watch(self) -> None:
        """Look every 10 ms until cancelled."""
        while True:
            begin = time.monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - begin)))

    async def look(self) -> None:
        """Note how far each partition has come since the last look."""
        for partition, noted in (await self._progress.load()).items():
            reached = noted.done.get("interactions", 0)
            positions, times = self._seen[partition]
            if not positions or reached > positions[-1]:
                positions.append(reached)
                times.append(time.monotonic())

    def visible_at(self, partition: int, position: int) -> float | None:
        """When the position had first been passed; None when it has not."""
        positions, times = self._seen[partition]
        found = bisect_left(positions, position)
        return times[found] if found < len(positions) else None


async def run(bench: Bench) -> list[Row]:
    """All services run, each with all its roles in one process, as `crm up` starts them."""
    stack = Stack(bench.new_folder())
    bench.report("starting the services")
    stack.start()
    try:
        await fill(bench, stack)
        before = processor_seconds(stack)
        sent, delays = await observe(bench, stack, bench.visible_seconds, RATE)
        after = processor_seconds(stack)
        counted = await count_purchases(stack, sent[-1][2])
        assert counted == 1 + sum(1 for one in sent if one[2] == sent[-1][2]), "a purchase is missing or doubled"
    finally:
        stack.stop()
    size = len(delays) // SLICES
    slices = [sorted(delays[start : start + size]) for start in range(0, size * SLICES, size)]
    everything = sorted(delays)
    costs = {name: [(after[name] - before[name]) / len(sent) * 1000] for name in after}
    what = f"command to visible 360, {RATE} events/s for {bench.visible_seconds:.0f} s"
    return [
        Row(
            f"visible-{name}",
            f"{what}: {name}",
            "",
            [one[int(len(one) * share)] * 1000 for one in slices],
            target,
            unit="ms",
            at_least=False,
            absolute=costs,
            absolute_unit="ms of processor time per purchase",
            note=f"{everything[int(len(everything) * share)] * 1000:.0f} ms over all",
        )
        for name, share, target in (("p50", 0.50, 50.0), ("p99", 0.99, 150.0))
    ]


async def fill(bench: Bench, stack: Stack) -> None:
    """Let every customer buy something: all of them are in the views from then on."""
    bench.report("filling the views")
    await pass_through(stack, customer_ids(CUSTOMERS))


async def observe(
    bench: Bench, stack: Stack, seconds: float, rate: int
) -> tuple[list[tuple[float, int, str]], list[float]]:
    """What was sent (due at, position, customer), the warm-up included, and the delays after it, in order."""
    kafka = Kafka(bench.settings(stack.servers))
    async with AsyncMongoClient[Document](stack.servers.mongodb_uri) as client:
        watcher = Watcher(client)
        watching = asyncio.create_task(watcher.watch())
        try:
            bench.report(f"{rate} purchases per second for {seconds:.0f} s")
            answers = await load(
                stack.url("interactions"),
                *("--rate", str(rate), "--seconds", str(seconds + WARM_UP_SECONDS)),
                *("--connections", str(CONNECTIONS), "--customers", str(CUSTOMERS)),
            )
            sent = sorted((due, position, customer) for due, _, customer, position in answers)
            give_up = time.monotonic() + GIVE_UP_SECONDS
            while (delays := _delays(watcher, kafka, sent)) is None:
                if time.monotonic() > give_up:
                    raise RuntimeError("the 360 did not catch up")
                await asyncio.sleep(0.1)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return sent, delays[int(rate * WARM_UP_SECONDS) :]


def _delays(watcher: Watcher, kafka: Kafka, sent: Sequence[tuple[float, int, str]]) -> list[float] | None:
    found: list[float] = []
    for due, position, customer in sent:
        visible = watcher.visible_at(kafka.partition_of(customer.encode()), position)
        if visible is None:
            return None
        found.append(visible - due)
    return found


def processor_seconds(stack: Stack) -> dict[str, float]:
    """What each server and service, with its children, has used so far."""
    used: dict[str, float] = {}
    for server in stack.all:
        process = psutil.Process(server.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        used[server.name] = sum(one.user + one.system for one in times)
    return used


async def count_purchases(stack: Stack, customer: str) -> int:
    """How many purchases the API shows of a customer."""
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{stack.url('customer360')}/v1/customers/{customer}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["purchases"]["count"])
