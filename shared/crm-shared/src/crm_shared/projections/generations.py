"""Generations of a view: a rebuild fills the next one beside the live one, and a switch makes it the live one."""

import time

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.mongo.documents import DURABLE, Document

COLLECTION = "view_generations"
# How long a process may go on with the generation that it knew.
KNOWN_FOR_SECONDS = 1.0


def in_generation(name: str, generation: int) -> str:
    """The name of a collection, or of a projection's progress, in a generation; the first has the plain name."""
    return name if generation == 1 else f"{name}@{generation}"


class Generations:
    """Which generation of each of a service's views is live."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._store: AsyncCollection[Document] = database.get_collection(COLLECTION, write_concern=DURABLE)
        self._known: dict[str, int] = {}
        self._known_at = float("-inf")

    async def live(self, projection: str, *, within: float = KNOWN_FOR_SECONDS) -> int:
        """The live generation, as it was at most so long ago (s). All of a service's are read at once."""
        if time.monotonic() - self._known_at > within:
            self._known = {document["_id"]: document["live"] async for document in self._store.find({})}
            self._known_at = time.monotonic()
        return self._known.get(projection, 1)

    async def layout(self, projection: str) -> int | None:
        """The layout of the live generation's documents, as far as one was noted."""
        document = await self._store.find_one({"_id": projection})
        return document.get("layout") if document else None

    async def note_layout(self, projection: str, layout: int) -> None:
        """The live generation has this layout."""
        noted = {"$set": {"layout": layout}, "$setOnInsert": {"live": 1}}
        await self._store.update_one({"_id": projection}, noted, upsert=True)

    async def switch(self, projection: str, generation: int, layout: int) -> None:
        """Make a generation the live one: queries and projectors move to it within seconds."""
        live = {"live": generation, "layout": layout}
        await self._store.update_one({"_id": projection}, {"$set": live}, upsert=True)
        self._known_at = float("-inf")

    async def collection(self, projection: str, name: str) -> AsyncCollection[Document]:
        """A collection of the projection's live generation, to be read."""
        return self._database[in_generation(name, await self.live(projection))]
