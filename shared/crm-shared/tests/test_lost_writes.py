"""A store that has lost its last writes, or has another writer now: noticed by the next batch, and nothing is missing.

Small batches are acknowledged before they are on the disk. What a store has then lost, when it died, is put back here
behind the writer's back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo import Document
from crm_shared.mongo.documents import Lookup
from crm_shared.projections import DocumentProjection, Projection, Rows
from crm_shared.projections.document_projection import APART, GROUPED_FROM
from crm_shared.projections.progress import PartitionProgress
from crm_shared.projections.progress_keeper import Displaced, ProgressKeeper
from crm_shared.settings import Settings

PARTITION, CLUSTER, TOPIC = 0, "cluster", "crm.tests.events.v1"
COLLECTIONS = ["notes", "rows", "notes_lookup", "projection_progress"]
Noted = Callable[..., PublicEvent]


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("lost")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.mongodb_database]


def fold(document: Document | None, event: PublicEvent) -> Document:
    """All positions that were applied, and what documents are found by."""
    known = document or {"notes": []}
    return {**known, "notes": [*known["notes"], event.sequence], "kind": event.data.get("kind", "")}


class Owner:
    """One who owns the partition and reads on from where the view stands, as a member of the consumer group does.

    The position in the log is the offset: `log[0]` is at 1.
    """

    def __init__(self, database: AsyncDatabase[Document], log: Sequence[PublicEvent], **declared: Any) -> None:
        options: dict[str, Any] = {
            "name": "tests.notes",
            "events": (),
            "collection": "notes",
            "fold": fold,
            "rows": Rows("rows", lambda event: {"position": event.sequence}),
            "lookup": Lookup("notes_lookup", lambda document: {"kind": document["kind"]}),
        }
        self.projection = DocumentProjection(database, Projection(**options | declared))
        self.keeper = ProgressKeeper(database, "tests.notes")
        self.log = log
        self.displaced = 0

    async def take_over(self) -> None:
        await self.projection.prepare(1)
        await self.keeper.take_over([PARTITION], CLUSTER)
        self.projection.take_over(frozenset([PARTITION]))

    @property
    def done(self) -> int:
        return self.keeper.progress[PARTITION].done.get("tests", 0)

    async def read(self, end: int) -> None:
        """Apply what comes next, up to a position, as one batch. Raises `Displaced`."""
        events = [event for event in self.log if self.done < event.sequence <= end]
        reached = self.keeper.progress[PARTITION].copy()
        reached.note("tests", *(event.sequence for event in events))
        reached.offsets[TOPIC] = end
        note = self.keeper.note({PARTITION: reached})
        failures = await self.projection.apply(events, note)
        assert not failures
        if not note.stored:
            await note.save()

    async def go_on(self, end: int, *, most: int = 10**6) -> None:
        """Read up to a position in batches, from what is stored wherever that is not what was left."""
        while self.done < end:
            try:
                await self.read(min(end, self.done + most))
            except Displaced:
                self.displaced += 1
                assert self.displaced < 10
                await self.take_over()


async def everything(database: AsyncDatabase[Document]) -> dict[str, list[Document]]:
    return {name: await database[name].find({}).sort("_id", 1).to_list() for name in COLLECTIONS}


async def put_back(database: AsyncDatabase[Document], before: dict[str, list[Document]], *names: str) -> None:
    """Let the store have lost what was written to these collections since."""
    for name in names:
        await database[name].delete_many({})
        if before[name]:
            await database[name].insert_many(before[name])


async def require_exact(database: AsyncDatabase[Document], log: Sequence[PublicEvent]) -> None:
    """The view holds each event once, in order."""
    found = await everything(database)
    expected: dict[str, Document] = {}
    for event in log:
        expected[event.key] = fold(expected.get(event.key), event)
    assert {one["_id"]: one["notes"] for one in found["notes"]} == {k: d["notes"] for k, d in expected.items()}
    assert sorted(one["position"] for one in found["rows"]) == [event.sequence for event in log]
    if found["notes_lookup"]:
        assert {one["_id"]: one["kind"] for one in found["notes_lookup"]} == {k: d["kind"] for k, d in expected.items()}


def history(noted: Noted, count: int, keys: int) -> list[PublicEvent]:
    return [
        noted(f"k{position % keys}", position, kind="even" if position // keys % 2 else "odd")
        for position in range(1, count + 1)
    ]


async def test_a_former_owner_is_refused_and_writes_nothing(database: AsyncDatabase[Document], noted: Noted) -> None:
    # given an owner who has not heard that another one took over and went on
    log = history(noted, 12, 2)
    former, owner = Owner(database, log), Owner(database, log)
    await former.take_over()
    await former.go_on(6)
    await owner.take_over()
    await owner.go_on(8)
    before = await everything(database)

    # when it goes on with what it holds, then nothing of the view changes
    with pytest.raises(Displaced):
        await former.read(10)
    with pytest.raises(Displaced):
        await former.keeper.seal()
    after = await everything(database)
    assert after["notes"] == before["notes"]
    assert after["projection_progress"] == before["projection_progress"]

    await owner.go_on(12)
    assert owner.displaced == 0
    await require_exact(database, log)


async def test_two_who_both_believe_to_be_the_owner_come_to_one_exact_view(
    database: AsyncDatabase[Document], noted: Noted
) -> None:
    log = history(noted, 60, 3)
    owners = [Owner(database, log) for _ in range(2)]
    for owner in owners:
        await owner.take_over()
    for end in range(3, len(log) + 1, 3):
        for owner in owners:
            await owner.go_on(end)
            owner.displaced = 0

    await require_exact(database, log)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(COLLECTIONS, id="everything of the batch"),
        pytest.param(["projection_progress"], id="its progress alone"),
        pytest.param(["notes", "projection_progress"], id="its documents and progress, not its rows"),
        pytest.param(["notes", "rows", "projection_progress"], id="all but the entries"),
    ],
)
@pytest.mark.parametrize("size", [2, 2 * APART, 2 * GROUPED_FROM])
async def test_what_the_store_has_lost_is_noticed_by_the_next_batch_and_done_again(
    database: AsyncDatabase[Document], noted: Noted, lost: Sequence[str], size: int, sealed: bool
) -> None:
    # given a batch that was acknowledged and is lost, with documents that it changed and, unless sealed, created
    log = history(noted, 4 * size, 3 if size < GROUPED_FROM else 40)
    owner = Owner(database, log)
    await owner.take_over()
    if sealed:
        await owner.go_on(size)
        await owner.keeper.seal()
        owner.projection.sealed()
    before = await everything(database)
    await owner.go_on(2 * size)
    await put_back(database, before, *lost)

    # when it goes on
    await owner.go_on(3 * size)
    await owner.go_on(4 * size)

    # then it noticed, and the view is as if nothing had happened
    assert owner.displaced == 1
    await require_exact(database, log)


@pytest.mark.parametrize("most", [1, 3, 10])
async def test_batches_of_another_size_after_a_loss_leave_no_entry_that_is_ahead_of_its_document(
    database: AsyncDatabase[Document], noted: Noted, most: int
) -> None:
    # given several lost batches that all changed what a document is found by
    log = history(noted, 20, 1)
    owner = Owner(database, log)
    await owner.take_over()
    await owner.go_on(3, most=1)
    owner.projection.sealed()
    before = await everything(database)
    await owner.go_on(8, most=1)
    await put_back(database, before, *COLLECTIONS)

    # when the next batch changes it again, and everything is then read in batches of another size
    with pytest.raises(Displaced):
        await owner.read(9)
    await owner.take_over()
    await owner.go_on(10, most=most)

    await require_exact(database, log[:10])


@pytest.mark.parametrize("kept", [0, 1])
async def test_documents_that_are_not_held_any_more_may_be_lost_all_the_same(
    database: AsyncDatabase[Document], noted: Noted, kept: int
) -> None:
    # given a view that holds hardly any documents, and a store that lost a batch's
    log = [noted("a", 1), noted("b", 2), noted("a", 3), noted("b", 4), noted("c", 5), noted("a", 6), noted("b", 7)]
    owner = Owner(database, log, kept=kept, lookup=None)
    await owner.take_over()
    await owner.go_on(2)
    await owner.keeper.seal()
    owner.projection.sealed()
    before = await everything(database)
    await owner.go_on(5, most=1)
    await put_back(database, before, *COLLECTIONS)

    await owner.go_on(7, most=1)

    assert owner.displaced == 1
    await require_exact(database, log)


async def test_what_was_lost_is_noticed_when_it_should_be_sealed(
    database: AsyncDatabase[Document], noted: Noted
) -> None:
    log = history(noted, 6, 2)
    owner = Owner(database, log)
    await owner.take_over()
    await owner.go_on(3)
    before = await everything(database)
    await owner.go_on(6)
    await put_back(database, before, *COLLECTIONS)

    with pytest.raises(Displaced):
        await owner.keeper.seal()

    await owner.take_over()
    await owner.go_on(6)
    await require_exact(database, log)


async def test_a_batch_that_a_crash_has_cut_off_anywhere_is_completed_by_the_next_owner(
    database: AsyncDatabase[Document], noted: Noted
) -> None:
    # given what is left of a batch: its rows; its rows and entries; its rows, entries and some documents
    log = history(noted, 6, 3)
    first = Owner(database, log)
    await first.take_over()
    await first.go_on(3)
    before = await everything(database)
    await first.go_on(6)
    whole = await everything(database)
    for left in ([], ["rows"], ["rows", "notes_lookup"], ["rows", "notes_lookup", "notes"]):
        await put_back(database, before, *COLLECTIONS)
        await put_back(database, whole, *left)
        if "notes" in left:
            await put_back(database, {"notes": [*whole["notes"][:1], *before["notes"][1:]]}, "notes")

        # when the next owner reads on
        owner = Owner(database, log)
        await owner.take_over()
        await owner.go_on(6)

        # then it stumbles over nothing
        assert owner.displaced == 0
        await require_exact(database, log)


async def test_offsets_of_another_cluster_are_not_gone_on_from_and_its_positions_are(
    database: AsyncDatabase[Document],
) -> None:
    keeper = ProgressKeeper(database, "tests.notes")
    await keeper.take_over([0, 1], "one")
    reached = keeper.progress[0].copy()
    reached.note("tests", 1, 2)
    reached.offsets[TOPIC] = 2
    await keeper.note({0: reached}).save()

    await keeper.take_over([0, 1], "other")
    assert keeper.progress[0] == PartitionProgress(0, "other", {"tests": 2}, {"tests": [1, 2]})
    await keeper.take_over([0, 1], "one")
    # nothing was noted in the other one
    assert keeper.progress == {0: reached, 1: PartitionProgress(1, "one")}


async def test_who_takes_over_at_the_same_moment_as_others_is_the_only_one_who_can_write(
    database: AsyncDatabase[Document],
) -> None:
    keepers = [ProgressKeeper(database, "tests.notes") for _ in range(8)]
    await asyncio.gather(*(keeper.take_over([0], CLUSTER) for keeper in keepers))

    results = await asyncio.gather(*(keeper.seal() for keeper in keepers), return_exceptions=True)

    assert sum(isinstance(result, Displaced) for result in results) == len(keepers) - 1
