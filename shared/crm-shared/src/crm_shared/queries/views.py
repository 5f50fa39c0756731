"""Views as queries read them: the live generation of a projection, up to the position that the caller asks for."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.domain.errors import InvalidInput
from crm_shared.mongo.documents import Document
from crm_shared.projections.generations import Generations, in_generation
from crm_shared.projections.progress import WAIT_SECONDS, Progress
from crm_shared.projections.projection import Projection


@dataclass(frozen=True, slots=True)
class View:
    """One generation of a projection's view: its documents, the rows beside them, and what they are found by."""

    database: AsyncDatabase[Document]
    projection: Projection
    generation: int

    @property
    def documents(self) -> AsyncCollection[Document]:
        """One document per key."""
        return self._collection(self.projection.collection)

    @property
    def rows(self) -> AsyncCollection[Document]:
        """One row per event. Raises `LookupError` for a projection without rows."""
        if self.projection.rows is None:
            raise LookupError(f"{self.projection.name} has no rows")
        return self._collection(self.projection.rows.collection)

    @property
    def lookup(self) -> AsyncCollection[Document]:
        """What documents are found by. Raises `LookupError` for a projection without a lookup."""
        if self.projection.lookup is None:
            raise LookupError(f"{self.projection.name} has no lookup")
        return self._collection(self.projection.lookup.collection)

    def _collection(self, name: str) -> AsyncCollection[Document]:
        return self.database[in_generation(name, self.generation)]


class Views:
    """The views of one service, for its queries.

    `partitions` is how many every event topic has; `last_position` tells the last position in the service's own log;
    `hurry` tells the projector of a view, should it run in this process, that somebody waits for it.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        partitions: int,
        last_position: Callable[[], Awaitable[int]],
        generations: Generations,
        hurry: Callable[[str], None],
    ) -> None:
        self._database = database
        self._last_position = last_position
        self._generations = generations
        self._hurry = hurry
        self._partitions = partitions

    async def open(self, projection: Projection, after: Mapping[str, int], *, of_all: bool = True) -> View:
        """The live view, once it holds what happened up to these positions (source to log position).

        `of_all` waits until it holds everything up to them, whomever it concerns; else it is enough that the very
        event at each position has been applied. Raises `InvalidInput` for a source that the view is not made from, and
        `PositionNotReached` when it takes too long.
        """
        _require_known(after, projection)
        return await self._open(projection, after, time.monotonic() + WAIT_SECONDS, of_all=of_all)

    async def open_decided(
        self, decided: Sequence[Projection], by: Projection, after: Mapping[str, int]
    ) -> tuple[View, ...]:
        """The live views of what this service decided by another view of its own; that view comes last.

        With positions in what `by` is made from, everything that it made the service decide is included: when it has
        come to them the decisions are in the service's own log, and the other views wait for the log's end. Raises as
        `open` does.
        """
        _require_known(after, by, *decided)
        deadline = time.monotonic() + WAIT_SECONDS
        own = {source: position for source, position in after.items() if source not in by.sources}
        causes = {source: position for source, position in after.items() if source in by.sources}
        opened = await self._open(by, causes, deadline)
        if causes:
            end = await self._last_position()
            own = {source: max(end, own.get(source, 0)) for projection in decided for source in projection.sources}
        return (*[await self._open(projection, own, deadline) for projection in decided], opened)

    async def _open(
        self, projection: Projection, after: Mapping[str, int], deadline: float, *, of_all: bool = True
    ) -> View:
        if after:
            progress = Progress(self._database, projection.name, self._generations)
            seconds = max(0.0, deadline - time.monotonic())
            hurry = partial(self._hurry, projection.name)
            await progress.wait_for(after, self._partitions, of_all=of_all, seconds=seconds, hurry=hurry)
        return View(self._database, projection, await self._generations.live(projection.name))


def _require_known(after: Mapping[str, int], *projections: Projection) -> None:
    """Raise `InvalidInput` for a source that none of these views is made from."""
    known = sorted({source for projection in projections for source in projection.sources})
    for source in sorted(after.keys() - set(known)):
        message = f"this view is made from {', '.join(known)}, not {source}"
        raise InvalidInput.at("?after", "unknown_source", message)
