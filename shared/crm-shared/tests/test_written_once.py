"""Documents that are made by one event each are taken for new; those that were there already are left as they are."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Projection, Rows
from crm_shared.projections.document_projection import APART, GROUPED_FROM
from crm_shared.projections.progress_keeper import Note, ProgressKeeper
from crm_shared.settings import Settings


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("once")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.mongodb_database]


def view(database: AsyncDatabase[Document], *, rows: bool) -> DocumentProjection:
    declared = Projection(
        name="tests.notes",
        events=(),
        collection="notes",
        fold=lambda document, event: {**(document or {}), "note": event.data["note"]},
        document_id=lambda event: event.id,
        rows=Rows("rows", lambda event: {"note": event.data["note"]}) if rows else None,
        written_once=True,
        kept=0,
    )
    return DocumentProjection(database, declared)


async def note_of(database: AsyncDatabase[Document], position: int) -> Note:
    """The next owner's note that brings the view to a position."""
    keeper = ProgressKeeper(database, "tests.notes")
    await keeper.take_over([0], "cluster")
    reached = keeper.progress[0].copy()
    reached.note("tests", position)
    return keeper.note({0: reached})


async def everything(database: AsyncDatabase[Document]) -> list[list[Document]]:
    return [await database[name].find({}).sort("_id", 1).to_list() for name in ("notes", "rows")]


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("size", [2, 2 * APART, 2 * GROUPED_FROM])
async def test_history_that_is_sent_again_changes_nothing_and_is_no_error(
    database: AsyncDatabase[Document], noted: Callable[..., PublicEvent], size: int, restarted: bool, rows: bool
) -> None:
    # given a view that holds some events
    events = [noted(f"k{position % 3}", position, note=position) for position in range(1, size + 1)]
    projection = view(database, rows=rows)
    await projection.prepare(1)
    await projection.apply(events, await note_of(database, size))
    before = await everything(database)

    # when they come again, and one that is new behind them
    if restarted:
        projection = view(database, rows=rows)
    new = noted("k0", size + 1, note=size + 1)
    for batch in (events, [*events[size // 2 :], new], events):
        note = await note_of(database, size + 1)
        assert await projection.apply(batch, note) == {}

    # then only that one is added
    after = await everything(database)
    assert [[one for one in found if one["_id"] != new.id] for found in after] == before
    assert [one["note"] for one in after[0] if one["_id"] == new.id] == [size + 1]


async def test_nothing_of_it_is_held_in_memory(
    database: AsyncDatabase[Document], noted: Callable[..., PublicEvent]
) -> None:
    projection = view(database, rows=False)
    await projection.prepare(1)
    ids: list[Any] = []
    for position in range(1, 10):
        event = noted("k", position, note=position)
        ids.append(event.id)
        await projection.apply([event], await note_of(database, position))

    assert projection.documents.not_held(ids) == ids
