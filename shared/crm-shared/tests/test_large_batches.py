"""A large batch is applied in groups of keys, and comes to the same as its events one after the other."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Projection, Rows
from crm_shared.projections.document_projection import GROUPED_FROM
from crm_shared.settings import Settings

KEYS = [f"k{number}" for number in range(40)]
BAD = "k7"


@pytest.fixture
def events(noted: Callable[..., PublicEvent]) -> list[PublicEvent]:
    return [noted(KEYS[position * 17 % len(KEYS)], position) for position in range(1, 3 * GROUPED_FROM)]


def fold(document: Document | None, event: PublicEvent) -> Document:
    notes = (document or {}).get("notes", [])
    if event.key == BAD and len(notes) == 2:
        raise ValueError("poison")
    return {"notes": [*notes, event.sequence]}


@pytest.fixture
async def projection(settings_for: Callable[[str], Settings]) -> AsyncIterator[DocumentProjection]:
    settings = settings_for("large-batches")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        found = DocumentProjection(
            client[settings.mongodb_database],
            Projection(
                name="tests.notes",
                events=(),
                collection="notes",
                fold=fold,
                rows=Rows("rows", lambda event: {"position": event.sequence}),
            ),
        )
        await found.prepare(1)
        yield found


async def stored(projection: DocumentProjection) -> tuple[dict[str, list[int]], list[int]]:
    """The notes of each key, and the positions of all rows."""
    assert projection.rows is not None
    documents = {one["_id"]: one["notes"] async for one in projection.documents.collection.find()}
    return documents, sorted([one["position"] async for one in projection.rows.find()])


def expected(events: list[PublicEvent]) -> dict[str, list[int]]:
    notes: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.key != BAD or len(notes[BAD]) < 2:
            notes[event.key].append(event.sequence)
    return notes


async def test_each_key_is_folded_in_order_and_only_the_poisoned_one_stops(
    projection: DocumentProjection, events: list[PublicEvent]
) -> None:
    failures = await projection.apply(events)
    again = await projection.apply(events)

    documents, rows = await stored(projection)
    assert failures.keys() == again.keys() == {BAD}
    assert documents == expected(events)
    assert rows == sorted(position for notes in expected(events).values() for position in notes)


async def test_a_document_that_another_process_wrote_is_read_again(
    projection: DocumentProjection, events: list[PublicEvent]
) -> None:
    # Given documents that are held in memory, and one of them written by somebody else meanwhile
    half = len(events) // 2
    await projection.apply(events[:half])
    other: dict[str, Any] = {"$inc": {"revision": 1}, "$set": {"written_by": "another"}}
    await projection.documents.collection.update_one({"_id": KEYS[0]}, other)

    await projection.apply(events[half:])

    documents, rows = await stored(projection)
    assert documents == expected(events)
    assert rows == sorted(position for notes in expected(events).values() for position in notes)
