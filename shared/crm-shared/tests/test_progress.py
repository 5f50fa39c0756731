"""How far a view has come: what members of a group note side by side, and what may be concluded from it."""

from collections.abc import Callable, Mapping

import pytest
from pymongo import AsyncMongoClient

from crm_shared.domain import PositionNotReached
from crm_shared.mongo import Document
from crm_shared.projections.generations import Generations
from crm_shared.projections.progress import RECENT, PartitionProgress, Progress, reached
from crm_shared.settings import Settings

SOURCE = "contacts"


def applied(*positions: int, partition: int = 0, lag: int = 0) -> PartitionProgress:
    found = PartitionProgress(partition, "cluster", lag=lag)
    found.note(SOURCE, *positions)
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
        await one.wait_for({SOURCE: 9})
        with pytest.raises(PositionNotReached):
            await one.wait_for({SOURCE: 10}, seconds=0.05)


LONG = range(100, 100 + RECENT)


@pytest.mark.parametrize(
    ("partitions", "position", "certain"),
    [
        pytest.param({0: applied(5, 9), 1: applied(7)}, 5, True, id="applied lately"),
        pytest.param({0: applied(5, 9), 1: applied(7)}, 6, True, id="passed by all"),
        pytest.param({0: applied(5, 9), 1: applied(7)}, 8, False, id="one may still have to read it"),
        pytest.param({}, 1, False, id="nothing was read"),
        pytest.param({0: applied(*LONG), 1: applied(7)}, 50, True, id="so long past that it must have been there"),
        pytest.param({0: applied(*LONG), 1: applied(7, lag=1)}, 50, False, id="long past, and still to be read"),
        pytest.param({0: applied(*LONG[1:]), 1: applied(7)}, 50, False, id="not long past"),
        pytest.param({0: applied(*LONG), 1: applied(7)}, 150, True, id="among the recent ones of a long list"),
    ],
)
def test_a_position_is_reached_only_when_it_has_certainly_been_applied(
    partitions: Mapping[int, PartitionProgress], position: int, certain: bool
) -> None:
    assert reached(list(partitions.values()), SOURCE, position) is certain
