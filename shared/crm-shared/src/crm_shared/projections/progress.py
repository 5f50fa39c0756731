"""How far a view has come: per partition, the last log position of each source, and the most recent ones."""

import asyncio
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.domain.errors import PositionNotReached
from crm_shared.mongo.documents import Document
from crm_shared.projections.generations import Generations, in_generation

COLLECTION = "projection_progress"
# How many positions per source and partition are remembered one by one. The document is rewritten after every batch.
RECENT = 64
POLL_SECONDS = 0.01
WAIT_SECONDS = 5.0


@dataclass(slots=True)
class PartitionProgress:
    """What has been applied of one partition, or passed because the view does not need it.

    `done` maps a source to the highest log position seen; `recent` to the latest positions, ascending. `offsets` says
    per topic where to read on, in the Kafka cluster named by `cluster`. `lag` is how many records of all topics were
    still unread when this was noted.
    """

    partition: int
    cluster: str
    done: dict[str, int] = field(default_factory=dict)
    recent: dict[str, list[int]] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    lag: int = 0

    def note(self, source: str, *positions: int) -> None:
        """The events at these log positions have been applied, in this order, now or earlier, or passed."""
        last = self.done.get(source, 0)
        recent = self.recent.setdefault(source, [])
        for position in positions:
            if position > last:
                last = position
                recent.append(position)
        self.done[source] = last
        del recent[:-RECENT]

    def note_all_up_to(self, source: str, position: int) -> None:
        """Whatever belongs to this partition up to here has been passed; the very event may be in another."""
        self.done[source] = max(position, self.done.get(source, 0))

    def copy(self) -> "PartitionProgress":
        """Another one that says the same, to note more in."""
        recent = {source: list(positions) for source, positions in self.recent.items()}
        return PartitionProgress(self.partition, self.cluster, dict(self.done), recent, dict(self.offsets), self.lag)

    def to_section(self) -> Document:
        """What the document of the projection says about this partition."""
        return {
            "cluster": self.cluster,
            "done": self.done,
            # As bytes: a document store takes ten times as long over as many numbers.
            "recent": {source: _packed(positions) for source, positions in self.recent.items()},
            # Names of topics hold dots, and so make poor keys.
            "offsets": [[topic, offset] for topic, offset in self.offsets.items()],
            "lag": self.lag,
            "updated_at": datetime.now(UTC),
        }

    @classmethod
    def from_section(cls, partition: int, section: Document) -> "PartitionProgress":
        """What was noted of a partition."""
        return cls(
            partition,
            section["cluster"],
            section["done"],
            {source: _unpacked(packed) for source, packed in section["recent"].items()},
            dict(section["offsets"]),
            section["lag"],
        )


class Progress:
    """Reads and writes the progress of one projection: of its live generation, or of the one named.

    It is one document with a section for each partition: what a batch has touched is written by one statement, and a
    query that waits reads one document. Members of a group write sections of their own.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        projection: str,
        generations: Generations,
        *,
        only: int | None = None,
    ) -> None:
        self._projection = projection
        self._generations = generations
        self._only = only
        self._collection: AsyncCollection[Document] = database[COLLECTION]

    async def _name(self) -> str:
        generation = self._only or await self._generations.live(self._projection)
        return in_generation(self._projection, generation)

    def of(self, generation: int) -> "Progress":
        """The progress of one generation, whichever is live."""
        return Progress(self._collection.database, self._projection, self._generations, only=generation)

    async def load(self) -> dict[int, PartitionProgress]:
        """What is known of every partition that was ever read."""
        return {
            int(number): PartitionProgress.from_section(int(number), section)
            for number, section in (await self._sections()).items()
        }

    async def _sections(self) -> dict[str, Document]:
        document = await self._collection.find_one({"_id": await self._name()})
        sections: dict[str, Document] = document["partitions"] if document else {}
        # Of a partition that was taken over and not read yet there is nothing but its turn.
        return {number: section for number, section in sections.items() if "cluster" in section}

    async def save(self, partitions: Iterable[PartitionProgress]) -> None:
        """Write what has changed. Losing this is harmless: events are read again and found to be applied."""
        sections = {f"partitions.{progress.partition}": progress.to_section() for progress in partitions}
        if sections:
            await self._collection.update_one({"_id": await self._name()}, {"$set": sections}, upsert=True)

    async def report(self) -> list[dict[str, Any]]:
        """Partition, lag and time of each partition, for operators."""
        sections = await self._sections()
        return [
            {"partition": number, "lag": section["lag"], "updated_at": section["updated_at"].isoformat()}
            for number, section in sorted((int(number), section) for number, section in sections.items())
        ]

    async def wait_for(
        self,
        positions: Mapping[str, int],
        partitions: int,
        *,
        of_all: bool,
        seconds: float = WAIT_SECONDS,
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait until the view, whose topics have so many partitions, has come to each (source, log position).

        `of_all` waits for everything up to there, else the event at the position is enough. `hurry` is called when it
        has to wait. Raises `PositionNotReached` when that takes longer than `seconds`.
        """
        come_to = passed if of_all else reached
        waiting = False
        deadline = time.monotonic() + seconds
        while True:
            known = list((await self.load()).values())
            if all(come_to(known, source, position, partitions) for source, position in positions.items()):
                return
            if not waiting:
                hurry()
                waiting = True
            if time.monotonic() >= deadline:
                wanted = ", ".join(f"{source}:{position}" for source, position in positions.items())
                raise PositionNotReached(f"the view has not applied {wanted} within {round(seconds, 1):g} s")
            await asyncio.sleep(POLL_SECONDS)


def passed(known: Sequence[PartitionProgress], source: str, position: int, partitions: int) -> bool:
    """Whether everything of the source up to this position has been applied.

    A partition holds a source's events in the order of its log, and the relay's watermarks say how far it is where
    nothing happens. A partition that is not known has not been read.
    """
    return sum(partition.done.get(source, 0) >= position for partition in known) >= partitions


def reached(known: Sequence[PartitionProgress], source: str, position: int, partitions: int) -> bool:
    """Whether the event at this position, in whichever partition it is, has been applied."""
    if any(position in partition.recent.get(source, ()) for partition in known):
        return True
    return passed(known, source, position, partitions)


def _packed(positions: Sequence[int]) -> bytes:
    """64-bit integers, little-endian."""
    return _little_endian(array("q", positions)).tobytes()


def _unpacked(packed: bytes) -> list[int]:
    return _little_endian(array("q", packed)).tolist()


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
