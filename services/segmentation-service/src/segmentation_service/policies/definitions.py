"""The definitions as a projector holds them: all segments in use, indexed by what can change their result."""

from dataclasses import dataclass, field

from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.domain import StoreUnavailable
from crm_shared.mongo import Document
from crm_shared.postgres import EventSourcedApplication
from crm_shared.projections.generations import Generations
from segmentation_service.conditions import Condition, SegmentIndex, parse
from segmentation_service.domain import Segment
from segmentation_service.policies.decided import in_store
from segmentation_service.projections import DEFINITIONS


@dataclass(frozen=True, slots=True)
class Definition:
    """A segment as it was defined last."""

    key: str
    name: str
    version: int
    condition: Condition


@dataclass
class Definitions:
    """All definitions up to a log position of this service: those in use, and those that are retired."""

    in_use: dict[str, Definition] = field(default_factory=dict)
    retired: dict[str, Definition] = field(default_factory=dict)
    index: SegmentIndex = field(default_factory=SegmentIndex)
    position: int = 0

    def take_up(self, document: Document) -> None:
        """Take up a definition as its view shows it."""
        key = document["_id"]
        definition = Definition(key, document["name"], document["version"], parse(document["condition"]))
        self.position = max(self.position, document["positions"]["segmentation"])
        if document["retired"]:
            self.in_use.pop(key, None)
            self.index.remove(key)
            self.retired[key] = definition
        else:
            self.retired.pop(key, None)
            self.in_use[key] = definition
            self.index.add(key, definition.condition)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each; negative for those that are retired."""
        in_use = {key: definition.version for key, definition in self.in_use.items()}
        return in_use | {key: -definition.version for key, definition in self.retired.items()}


class DefinitionsView:
    """Takes up what is new in the view of definitions."""

    def __init__(self, database: AsyncDatabase[Document], event_store: EventSourcedApplication) -> None:
        self._generations = Generations(database)
        self._event_store = event_store

    async def prepare(self, definitions: Definitions) -> None:
        """Take up all definitions that there are.

        Raises `StoreUnavailable` while the view lacks some that are in the log. Who would decide by a view that is just
        being filled would decide by definitions that have been replaced long since.
        """
        await self.bring_up_to_date(definitions)
        recorder = self._event_store.recorder
        topics = [Segment.Created.TOPIC, Segment.Redefined.TOPIC, Segment.Retired.TOPIC]
        if await in_store(recorder.select_notifications, definitions.position + 1, 1, topics=topics):
            raise StoreUnavailable("the view of definitions is not as recent as the log")

    async def bring_up_to_date(self, definitions: Definitions) -> None:
        """Take up the definitions that were changed since the last time, in the order of the log."""
        view = await self._generations.collection(DEFINITIONS.name, DEFINITIONS.collection)
        # One query on one index, which costs next to nothing while nothing is new.
        newer = view.find({"positions.segmentation": {"$gt": definitions.position}})
        for document in await newer.sort("positions.segmentation", 1).to_list():
            definitions.take_up(document)
