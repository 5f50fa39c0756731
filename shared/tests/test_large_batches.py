"""A large batch is applied in groups side by side, and comes to the same as its events one after the other."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from crm_shared.contracts.envelope import PublicEvent
from crm_shared.documents import Document
from crm_shared.projection import GROUPED_FROM, DocumentProjection
from crm_shared.settings import Settings

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
KEYS = [f"k{number}" for number in range(40)]
BAD = "k7"


def note(position: int, key: str) -> PublicEvent:
    return PublicEvent(
        id=f"{key}-{position}",
        service="tests",
        name="Noted",
        major=1,
        key=key,
        subject=key,
        occurred_at=NOON,
        recorded_at=NOON,
        sequence=position,
        stream_version=position,
        correlation_id="",
        causation_id="",
        actor="",
        traceparent="",
        data={},
    )


EVENTS = [note(position, KEYS[position * 17 % len(KEYS)]) for position in range(1, 3 * GROUPED_FROM)]


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
            name="tests.notes",
            topics=["crm.tests.events.v1"],
            handles=frozenset(),
            collection="notes",
            fold=fold,
            rows=("rows", lambda event: {"position": event.sequence}),
        )
        await found.prepare(1)
        yield found


async def stored(projection: DocumentProjection) -> tuple[dict[str, list[int]], list[int]]:
    """The notes of each key, and the positions of all rows."""
    assert projection.rows is not None
    documents = {one["_id"]: one["notes"] async for one in projection.documents.collection.find()}
    return documents, sorted([one["position"] async for one in projection.rows.find()])


def expected() -> dict[str, list[int]]:
    notes: dict[str, list[int]] = defaultdict(list)
    for event in EVENTS:
        if event.key != BAD or len(notes[BAD]) < 2:
            notes[event.key].append(event.sequence)
    return notes


async def test_each_key_is_folded_in_order_and_only_the_poisoned_one_stops(projection: DocumentProjection) -> None:
    failures = await projection.apply(EVENTS)
    again = await projection.apply(EVENTS)

    documents, rows = await stored(projection)
    assert failures.keys() == again.keys() == {BAD}
    assert documents == expected()
    assert rows == sorted(position for notes in expected().values() for position in notes)


async def test_a_document_that_another_process_wrote_is_read_again(projection: DocumentProjection) -> None:
    # Given documents that are held in memory, and one of them written by somebody else meanwhile
    half = len(EVENTS) // 2
    await projection.apply(EVENTS[:half])
    other: dict[str, Any] = {"$inc": {"revision": 1}, "$set": {"written_by": "another"}}
    await projection.documents.collection.update_one({"_id": KEYS[0]}, other)

    await projection.apply(EVENTS[half:])

    documents, rows = await stored(projection)
    assert documents == expected()
    assert rows == sorted(position for notes in expected().values() for position in notes)
