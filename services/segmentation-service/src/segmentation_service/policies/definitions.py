"""The definitions as a projector holds them: all segments in use, indexed by what can change their result."""

from dataclasses import dataclass, field

from eventsourcing.persistence import ApplicationRecorder

from crm_shared.domain import StoreUnavailable
from crm_shared.mongo import Document
from crm_shared.policies import Resources
from crm_shared.projections.generations import Generations
from crm_shared.projections.progress import Progress
from segmentation_service.conditions import Condition, SegmentIndex, parse
from segmentation_service.domain import Segment
from segmentation_service.policies.decided import in_store
from segmentation_service.projections import DEFINITIONS

PAGE = 500


@dataclass(frozen=True, slots=True)
class Definition:
    """A segment as it was defined last."""

    key: str
    name: str
    version: int
    condition: Condition


@dataclass
class Definitions:
    """All definitions that were taken up: those in use, those that are retired, and at which log position each was."""

    in_use: dict[str, Definition] = field(default_factory=dict)
    retired: dict[str, Definition] = field(default_factory=dict)
    index: SegmentIndex = field(default_factory=SegmentIndex)
    positions: dict[str, int] = field(default_factory=dict)

    def take_up(self, document: Document) -> None:
        """Take up a definition as its view shows it, unless it is known already."""
        key, position = document["_id"], document["positions"]["segmentation"]
        if position <= self.positions.get(key, 0):
            return
        self.positions[key] = position
        definition = Definition(key, document["name"], document["version"], parse(document["condition"]))
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
        """The version of each segment; negative for retired segments."""
        in_use = {key: definition.version for key, definition in self.in_use.items()}
        return in_use | {key: -definition.version for key, definition in self.retired.items()}


class DefinitionsView:
    """Takes up what is new in the view of definitions.

    The definitions lie in different partitions, so a definition may be shown after another of a higher log position.
    """

    def __init__(self, resources: Resources) -> None:
        self._generations = Generations(resources.database)
        self._progress = Progress(resources.database, DEFINITIONS.name, self._generations)
        self._partitions = resources.kafka.partitions
        self._event_store = resources.application
        # Everything up to this log position has been taken up.
        self._taken_up = 0

    async def prepare(self, definitions: Definitions) -> None:
        """Take up all definitions that there are.

        Raises `StoreUnavailable` while the view lacks some that are in the log. A view that is still being filled would
        lead to decisions by definitions that were replaced long ago.
        """
        await self.bring_up_to_date(definitions)
        recorder = self._event_store.recorder
        topics = [Segment.Created.TOPIC, Segment.Redefined.TOPIC, Segment.Retired.TOPIC]
        last = await in_store(_last_of, recorder, self._taken_up, topics)
        known = {str(Segment.create_id(key)): position for key, position in definitions.positions.items()}
        if any(known.get(segment_id, 0) < position for segment_id, position in last.items()):
            raise StoreUnavailable("the view of definitions is not as recent as the log")

    async def bring_up_to_date(self, definitions: Definitions) -> None:
        """Take up the definitions that were changed since the last time."""
        # Noted before the view is read: whatever is up to there is in the view by now.
        partitions = (await self._progress.load()).values()
        done = [partition.done.get("segmentation", 0) for partition in partitions]
        view = await self._generations.collection(DEFINITIONS.name, DEFINITIONS.collection)
        # One query on one index, which costs next to nothing while nothing is new.
        newer = view.find({"positions.segmentation": {"$gt": self._taken_up}})
        for document in await newer.sort("positions.segmentation", 1).to_list():
            definitions.take_up(document)
        if len(done) >= self._partitions:
            self._taken_up = max(self._taken_up, min(done))


def _last_of(recorder: ApplicationRecorder, after: int, topics: list[str]) -> dict[str, int]:
    """The log position of the last event of each stream that has one of these topics after a position."""
    last: dict[str, int] = {}
    while notifications := recorder.select_notifications(after + 1, PAGE, topics=topics):
        for notification in notifications:
            last[str(notification.originator_id)] = after = int(notification.id)
    return last
