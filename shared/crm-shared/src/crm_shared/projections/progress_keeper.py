"""Writing how far a view is: with what a batch writes, and so that nobody goes on from what the store has lost.

Each partition of a projection has a turn: a number that every write of its progress raises by one, and that must be as
the writer left it. A small batch is one command: rows, entries, documents, and last the progress. Hence:

- The progress never says more than the view holds, whichever part of the command a crash has cut off.
- A store that dies may lose the end of what it has acknowledged without waiting for the disk; always an end, for its
  journal is written in order. With a batch it has lost that batch's turn. So the next batch comes to its end in vain,
  and its writer goes on from what the store says: documents that were lost are as they were before, and those that were
  not have the positions of their events.
- Whoever takes a partition over raises its turn, and a former owner who has not heard of that is stopped by it.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from crm_shared.mongo.documents import DURABLE, Document
from crm_shared.projections.progress import COLLECTION, PartitionProgress


class Displaced(Exception):
    """The stored view is not as it was left: another process took over, or the store has lost its last writes."""


class ProgressKeeper:
    """Holds and writes the progress of one projection's partitions, for the member of the group that owns them.

    `name` is that of the projection in its generation.
    """

    def __init__(self, database: AsyncDatabase[Document], name: str) -> None:
        self.name = name
        self.collection: AsyncCollection[Document] = database[COLLECTION]
        self._durable: AsyncCollection[Document] = database.get_collection(COLLECTION, write_concern=DURABLE)
        self.progress: dict[int, PartitionProgress] = {}
        self._turns: dict[int, int] = {}

    async def take_over(self, partitions: Collection[int], cluster: str) -> None:
        """Become the one who writes these partitions, and hold what is stored of them: offsets only of this cluster."""
        self.give_up()
        if not partitions:
            return
        raised = {f"partitions.{partition}.turn": 1 for partition in partitions}
        stored: Document | None = None
        # Again when another one has inserted it at the same moment.
        while stored is None:
            with contextlib.suppress(DuplicateKeyError):
                # Durable, so that what is compared later exists whatever the store loses.
                stored = await self._durable.find_one_and_update(
                    {"_id": self.name}, {"$inc": raised}, upsert=True, return_document=ReturnDocument.AFTER
                )
        for partition in partitions:
            section = stored["partitions"][str(partition)]
            self._turns[partition] = section["turn"]
            known = PartitionProgress.from_section(partition, section) if "cluster" in section else None
            if known is None:
                known = PartitionProgress(partition, cluster)
            elif known.cluster != cluster:
                known = PartitionProgress(partition, cluster, known.done, known.recent)
            self.progress[partition] = known

    def give_up(self) -> None:
        """Hold nothing: the partitions may be somebody else's."""
        self.progress.clear()
        self._turns.clear()

    def note(self, partitions: Mapping[int, PartitionProgress]) -> "Note":
        """How far a batch brings these partitions."""
        return Note(self, partitions)

    async def seal(self) -> None:
        """Wait until everything that was written so far is durable. Raises `Displaced`."""
        if self._turns:
            await _write(self._durable, self.as_left(self._turns), {"$inc": {"seals": 1}}, self)

    def turns(self, partitions: Iterable[int], *, raised_by: int = 0) -> Document:
        """The fields that say whose turn it is in these partitions."""
        return {f"partitions.{partition}.turn": self._turns[partition] + raised_by for partition in partitions}

    def as_left(self, partitions: Iterable[int]) -> Document:
        """A filter that finds the progress as it was left."""
        return {"_id": self.name, **self.turns(partitions)}

    def took_turn(self, partitions: Iterable[int]) -> None:
        """A write that raises these turns has been carried out."""
        for partition in partitions:
            self._turns[partition] += 1

    def displaced(self) -> Displaced:
        """What to raise when the progress is not as it was left."""
        return Displaced(f"the progress of {self.name} is not as it was left")


class Note:
    """How far a batch brings the partitions that it touches, to be written with it or after it.

    `check` and `end` are upserts (filter, update) for a command. On a progress that is not as it was left they insert a
    document that exists, which is refused, and the command stops there.
    """

    def __init__(self, keeper: ProgressKeeper, partitions: Mapping[int, PartitionProgress]) -> None:
        self.keeper = keeper
        self.partitions = partitions
        self.stored = False
        # Whether what it belongs to may have been read from a store that has lost something.
        self.is_doubted = False
        self._is_open = False

    def check(self) -> tuple[Document, Document]:
        """That it is our turn; changes nothing."""
        return self.keeper.as_left(self.partitions), {"$set": self.keeper.turns(self.partitions)}

    def end(self) -> tuple[Document, Document]:
        """What was reached; say `ended` when it has been carried out."""
        raised = self.keeper.turns(self.partitions, raised_by=1)
        sections = {
            f"partitions.{partition}": {**progress.to_section(), "turn": raised[f"partitions.{partition}.turn"]}
            for partition, progress in self.partitions.items()
        }
        return self.keeper.as_left(self.partitions), {"$set": sections}

    def ended(self) -> None:
        """What was reached is in the store."""
        self.keeper.took_turn(self.partitions)
        self.keeper.progress |= self.partitions
        self.stored = True

    async def open(self) -> None:
        """Take the turn by a statement of its own, before anything is written that is not in one command with the end.

        Raises `Displaced`.
        """
        if not self._is_open and self.partitions:
            raised = {"$set": self.keeper.turns(self.partitions, raised_by=1)}
            await _write(self.keeper.collection, self.keeper.as_left(self.partitions), raised, self.keeper)
            self.keeper.took_turn(self.partitions)
            self._is_open = True

    def close(self) -> None:
        """The turn has to be taken again, by a statement of its own, before anything more is written."""
        self._is_open = False
        self.is_doubted = True

    async def save(self) -> None:
        """Write what was reached by a statement of its own. Raises `Displaced`."""
        if self.partitions:
            await _write(self.keeper.collection, *self.end(), self.keeper)
            self.ended()


async def _write(
    collection: AsyncCollection[Document], as_left: Document, update: Document, keeper: ProgressKeeper
) -> None:
    """Update the progress as it was left. Raises `Displaced`."""
    try:
        await collection.update_one(as_left, update, upsert=True)
    except DuplicateKeyError:
        raise keeper.displaced() from None
