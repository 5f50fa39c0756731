"""A batch of documents is durable as a whole: a store that restarts and loses its last writes is noticed."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.mongo import Document, Documents, WriteConflict
from crm_shared.mongo.documents import SEALED_BYTES
from crm_shared.settings import Settings

NAMES = ["Lan", "Minh", "Đức", "Thảo"]


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("sealed")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.mongodb_database]


async def write(documents: Documents, **changes: Any) -> None:
    """Change every document in the same way."""
    before = await documents.load(NAMES)
    await documents.write({name: {**(before[name] or {}), **changes} for name in NAMES})


async def stored(database: AsyncDatabase[Document]) -> list[Document]:
    return await database["people"].find({}).sort("_id", 1).to_list()


async def test_batch_after_batch_is_written_and_read_as_it_was(database: AsyncDatabase[Document]) -> None:
    documents = Documents(database, "people")
    for number in range(4):
        await write(documents, bought=number)

    assert [(one["_id"], one["bought"]) for one in await stored(database)] == [(name, 3) for name in sorted(NAMES)]
    # what is held is what is stored, so that the next batch finds its revisions
    held = await documents.load(NAMES)
    assert {one["_id"]: one for one in await stored(database)} == held


async def test_a_store_that_has_lost_the_end_of_a_batch_is_noticed(
    database: AsyncDatabase[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that dies when a batch is written and not yet on the disk, and comes back without its last two
    documents = Documents(database, "people")
    await write(documents, bought=1)
    before = {one["_id"]: one for one in await stored(database)}
    seal = Documents._seal

    async def lose_and_seal(self: Documents, last: Document) -> None:
        for name in NAMES[-2:]:
            await database["people"].replace_one({"_id": name}, before[name])
        await seal(self, last)

    monkeypatch.setattr(Documents, "_seal", lose_and_seal)

    # When the batch goes on, then it is a conflict, and everything is read again
    with pytest.raises(WriteConflict):
        await write(documents, bought=2)
    assert documents.not_held(NAMES) == NAMES

    # And the second attempt writes what was lost
    monkeypatch.setattr(Documents, "_seal", seal)
    await write(documents, bought=2)
    assert [one["bought"] for one in await stored(database)] == [2, 2, 2, 2]


async def test_one_document_that_somebody_else_has_changed_is_a_conflict(database: AsyncDatabase[Document]) -> None:
    documents, other = Documents(database, "people"), Documents(database, "people")
    await write(documents, bought=1)
    await other.load(["Minh"])
    await other.write({"Minh": {"bought": 7}})

    with pytest.raises(WriteConflict):
        await write(documents, bought=2)

    assert {one["_id"]: one["bought"] for one in await stored(database)} == {"Lan": 2, "Minh": 7, "Đức": 2, "Thảo": 2}


async def test_a_batch_that_does_not_fit_into_one_command_is_written_all_the_same(
    database: AsyncDatabase[Document],
) -> None:
    documents = Documents(database, "people")
    await write(documents, bought=1)

    await write(documents, bought=2, note="x" * (SEALED_BYTES // 3))

    assert [one["bought"] for one in await stored(database)] == [2, 2, 2, 2]
