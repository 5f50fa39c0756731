"""Rebuilding a view from history: filled beside the live one, compared with it, then switched to."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.kafka.cluster_watch import cluster_id
from crm_shared.kafka.connection import Kafka, Topic
from crm_shared.mongo.documents import Document
from crm_shared.projections.comparison import Comparison, compare_again, count_missing
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.filling import Assignment, FilledPartition, Filler
from crm_shared.projections.filling_process import FillingProcess, Order, place_of
from crm_shared.projections.generations import Generations, in_generation
from crm_shared.projections.parking import Parking
from crm_shared.projections.progress import Progress

# Each takes memory, and one store takes what they insert: more of them only where somebody says so.
PROCESSES = 4
# A live view that lacks more than this is not a moment behind.
COMPARED_AGAIN = 10_000

Advanced = Callable[[int, int, int], None]
"""Called with (partitions done, partitions in all, events folded so far)."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A generation that was filled, and how it compares with the live one."""

    generation: int
    events: int
    comparison: Comparison


class _Fills(Protocol):
    async def fill(self, partition: int) -> FilledPartition: ...


class Rebuild:
    """Fills the next generation of one projection's view.

    Each partition is read from its beginning to its present end, folded in memory and inserted; several processes take
    one after the other. The live view is not touched and goes on. After the switch its projector takes up the new
    generation at the offsets noted here, so nothing that happened meanwhile is missed.
    Should a broker not count its latest batch to the end, it is read after the switch like what happened meanwhile; at
    rest that batch is a watermark.

    `processes` is how many fold, by default what the settings say. This process is one of them, unless it has other
    things to do (`folds_here` is False). A projection that is no constant of a module is folded here alone.
    """

    def __init__(
        self,
        projection: DocumentProjection,
        database: AsyncDatabase[Document],
        kafka: Kafka,
        *,
        processes: int | None = None,
        folds_here: bool = True,
    ) -> None:
        self._projection = projection
        self._database = database
        self._kafka = kafka
        self._generations = Generations(database)
        self._parking = Parking(database, projection.name, kafka)
        wanted = processes or kafka.settings.rebuild_processes or min(_processors(), PROCESSES)
        self._place = place_of(projection.declared)
        self._folds_here = folds_here or self._place is None
        self._others = min(wanted, kafka.partitions) - self._folds_here if self._place else 0

    async def fill(self, advanced: Advanced = lambda done, total, events: None) -> Rebuilt:
        """Fill the next generation and compare it with the live one.

        Raises `Conflict` (event_not_foldable) when an event of a customer who is not parked cannot be folded, and
        `FillingEnded` when one of the processes was ended.
        """
        async with contextlib.AsyncExitStack() as stack:
            # They take a moment to start.
            others = [await stack.enter_async_context(FillingProcess()) for _ in range(self._others)]
            assignment = await self._prepare()
            if others and self._place:
                order = Order(self._kafka.settings, self._database.name, self._place, assignment)
                for other in others:
                    other.begin(order)
            fillers: list[_Fills] = [*others]
            if self._folds_here:
                filler = Filler(self._projection, self._database, self._kafka, assignment)
                # First, because it can begin at once.
                fillers.insert(0, await stack.enter_async_context(filler))
            filling = _Filling(self._progress(assignment), self._kafka.partitions, advanced)
            await filling.run(fillers)
        # Over everything at once they cost half of what they add to each insert.
        await self._projection.create_indexes()
        comparison = await self._conclude(filling, assignment)
        return Rebuilt(assignment.generation, filling.events, comparison)

    async def switch(self, rebuilt: Rebuilt) -> None:
        """Make the filled generation the live one; the one before is kept until the next rebuild."""
        await self._generations.switch(self._projection.name, rebuilt.generation, self._projection.declared.layout)

    async def _prepare(self) -> Assignment:
        """Make room for the next generation, and see to it that there are topics."""
        live = await self._generations.live(self._projection.name)
        await self._drop_all_but(live)
        self._projection.write_to(live + 1)
        await self._parking.load()
        admin = self._kafka.admin()
        await admin.start()
        try:
            await self._kafka.ensure_topics(admin, [Topic(name) for name in self._projection.topics])
            cluster = await cluster_id(admin)
        finally:
            await admin.close()
        return Assignment(live + 1, live, cluster, frozenset(self._parking.keys))

    def _progress(self, assignment: Assignment) -> Progress:
        return Progress(self._database, self._projection.name, self._generations, only=assignment.generation)

    async def _drop_all_but(self, live: int) -> None:
        """Remove generations that an earlier rebuild left behind."""
        names = set(await self._database.list_collection_names())
        for name in names:
            base, _, generation = name.partition("@")
            if base in self._projection.declared.collections and int(generation or 1) != live:
                await self._database.drop_collection(name)

    async def _conclude(self, filling: "_Filling", assignment: Assignment) -> Comparison:
        """The comparison, when the live view has had time to come to what was read of it."""
        live = self._database[in_generation(self._projection.declared.collection, assignment.live)]
        await compare_again(live, self._projection.documents.collection, filling.absent, filling.comparison)
        return filling.comparison


class _Filling:
    """Partitions being filled: each is given to the next filler that has time, and what comes of it is gathered."""

    def __init__(self, progress: Progress, partitions: int, advanced: Advanced) -> None:
        self.events = 0
        self.comparison = Comparison()
        self.absent: list[str] = []
        self._progress = progress
        self._partitions = partitions
        self._advanced = advanced
        self._left: Iterator[int] = iter(range(partitions))
        self._done = 0

    async def run(self, fillers: list[_Fills]) -> None:
        """Fill all partitions; raises the first error of any filler, when none is at work any more."""
        tasks = [asyncio.create_task(self._fill(filler)) for filler in fillers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, filler: _Fills) -> None:
        for partition in self._left:
            filled = await filler.fill(partition)
            await self._progress.save([filled.noted])
            self.events += filled.events
            self.comparison.add(filled.comparison)
            room = COMPARED_AGAIN - len(self.absent)
            self.absent += filled.absent[:room]
            for document_id in filled.absent[room:]:
                count_missing(document_id, self.comparison)
            self._done += 1
            self._advanced(self._done, self._partitions, self.events)


def _processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # where there is no such call
        return os.cpu_count() or 1
