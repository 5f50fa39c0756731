"""An event that cannot be applied fails alone, wherever it fails: in its id, its fold, or its encoding."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from crm_contracts.envelope import PublicEvent
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Projection, Rows
from crm_shared.settings import Settings


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param({"id": "a", "note": {"nul\x00": 1}}, id="a name with a NUL"),
        pytest.param({"id": "a", "note": 2**64}, id="an integer beyond 64 bits"),
        pytest.param({"id": "a", "note": "x" * 17_000_000}, id="a document beyond 16 MB"),
        pytest.param({"id": "a"}, id="no note to fold"),
        pytest.param({"note": 1}, id="no id"),
    ],
)
async def test_an_event_that_cannot_be_stored_fails_alone(
    settings_for: Callable[[str], Settings], noted: Callable[..., PublicEvent], poison: dict[str, Any]
) -> None:
    # Given a batch with one such event between good ones
    settings = settings_for("poison")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        projection = DocumentProjection(
            client[settings.mongodb_database],
            Projection(
                name="tests.notes",
                events=(),
                collection="notes",
                fold=lambda document, event: {**(document or {}), "note": event.data["note"]},
                document_id=lambda event: str(event.data["id"]),
                rows=Rows("rows", lambda event: {"note": event.data["note"]}),
            ),
        )
        await projection.prepare(1)
        good = [noted("a", 1, id="a", note=1), noted("b", 2, id="b", note=2)]
        bad = noted("a", 3, **poison)
        later = [noted("a", 4, id="a", note=4), noted("b", 5, id="b", note=5)]

        # When it is applied, twice as a consumer would
        failures = await projection.apply([*good, bad, *later])
        again = await projection.apply([*good, bad, *later])

        # Then its key stops there, and the other goes on
        assert {key: failure.event for key, failure in failures.items()} == {"a": bad}
        assert {key: failure.event for key, failure in again.items()} == {"a": bad}
        notes = {one["_id"]: (one["note"], one["positions"]) async for one in projection.documents.collection.find()}
        assert notes == {"a": (1, {"tests": 1}), "b": (5, {"tests": 5})}
