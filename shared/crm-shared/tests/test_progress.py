"""How far a view has come: what members of a group note side by side, and what may be concluded from it."""

from collections.abc import Callable, Sequence

import pytest
from pymongo import AsyncMongoClient

from crm_shared.domain import PositionNotReached
from crm_shared.mongo import Document
from crm_shared.projections.generations import Generations
from crm_shared.projections.progress import RECENT, PartitionProgress, Progress, passed, reached
from crm_shared.settings import Settings

SOURCE = "contacts"


def applied(*positions: int, partition: int = 0, lag: int = 0) -> PartitionProgress:
    found = PartitionProgress(partition, "cluster", lag=lag)
    found.note(SOURCE, *positions)
    return found


def complete(position: int, *, partition: int = 0) -> PartitionProgress:
    found = PartitionProgress(partition, "cluster")
    found.note_all_up_to(SOURCE, position)
    return found


async def test_members_note_their_partitions_side_by_side(settings_for: Callable[[str], Settings]) -> None:
    settings = settings_for("progress")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        database = client[settings.mongodb_database]
        one, other = (Progress(database, "tests.notes", Generations(database)) for _ in range(2))
        assert await one.load() == {}

        first = applied(3, 5)
        first.offsets["crm.tests.events.v1"] = 2
        await one.save([first])
        await other.save([applied(4, partition=10, lag=7), applied(partition=2)])
        first.note(SOURCE, 9)
        await one.save([first])

        loaded = await other.load()
        assert loaded == {0: first, 2: applied(partition=2), 10: applied(4, partition=10, lag=7)}
        assert [(noted["partition"], noted["lag"]) for noted in await one.report()] == [(0, 0), (2, 0), (10, 7)]
        # the next generation of the view begins with nothing, and the live one waits for what it has not applied
        assert await one.of(2).load() == {}
        await one.wait_for({SOURCE: 9}, 3, of_all=False)
        with pytest.raises(PositionNotReached):
            await one.wait_for({SOURCE: 9}, 3, of_all=True, seconds=0.05)


@pytest.mark.parametrize(
    ("known", "position", "event", "everything"),
    [
        pytest.param([applied(5, 9), applied(7, partition=1)], 5, True, True, id="applied lately, and passed by all"),
        pytest.param([applied(5, 9), applied(7, partition=1)], 9, True, False, id="the other is behind"),
        pytest.param([applied(5, 9), applied(7, partition=1)], 6, True, True, id="no public event, passed by all"),
        pytest.param([applied(5, 9), applied(7, partition=1)], 8, False, False, id="one may still have to read it"),
        pytest.param([applied(5), complete(9, partition=1)], 9, False, False, id="a watermark is no event"),
        pytest.param([complete(9), complete(9, partition=1)], 9, True, True, id="watermarks everywhere"),
        pytest.param([applied(5, 9)], 4, False, False, id="a partition has not been read at all"),
        pytest.param([], 1, False, False, id="nothing was read"),
        pytest.param([applied(*range(1, 2 * RECENT)), applied(7, partition=1)], 9, False, False, id="long past in one"),
    ],
)
def test_a_view_has_come_to_a_position_only_when_that_is_certain(
    known: Sequence[PartitionProgress], position: int, event: bool, everything: bool
) -> None:
    assert reached(known, SOURCE, position, 2) is event
    assert passed(known, SOURCE, position, 2) is everything
