"""What documents are found by stays in step with them: through crashes in between, and with two writers."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.mongo import Document, Documents, Lookup, WriteConflict
from crm_shared.settings import Settings

LOOKUP = Lookup("people_lookup", lambda document: {"name": document["name"]})


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("lookups")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.mongodb_database]


def people(database: AsyncDatabase[Document]) -> Documents:
    return Documents(database, "people", lookup=LOOKUP)


async def entries(database: AsyncDatabase[Document]) -> dict[str, tuple[str, int]]:
    return {one["_id"]: (one["name"], one["revision"]) async for one in database["people_lookup"].find({})}


async def write(documents: Documents, **named: Document) -> None:
    await documents.load(named)
    await documents.write(named)


async def test_an_entry_is_written_with_its_document_and_only_when_it_has_changed(
    database: AsyncDatabase[Document],
) -> None:
    documents = people(database)

    await write(documents, lan={"name": "Lan", "bought": 1}, minh={"name": "Minh", "bought": 1})
    await write(documents, lan={"name": "Lan", "bought": 2}, minh={"name": "Đức Minh", "bought": 2})

    assert await entries(database) == {"lan": ("Lan", 1), "minh": ("Đức Minh", 2)}


async def test_an_entry_whose_document_was_never_written_is_written_again(database: AsyncDatabase[Document]) -> None:
    # Given what a process leaves that dies between the two
    await database["people_lookup"].insert_one({"_id": "lan", "name": "Lna", "revision": 1})

    await write(people(database), lan={"name": "Lan"})

    assert await entries(database) == {"lan": ("Lan", 1)}


async def test_a_writer_that_was_too_late_leaves_the_entry_of_the_other_one(database: AsyncDatabase[Document]) -> None:
    # Given two processes that hold the same document, and an entry which is as the first one wrote it
    first, second = people(database), people(database)
    await write(first, lan={"name": "Lan"})
    await second.load(["lan"])
    await write(first, lan={"name": "Nguyễn Lan"})

    # When the second one writes something else
    with pytest.raises(WriteConflict):
        await second.write({"lan": {"name": "Trần Lan"}})

    # Then neither the document nor its entry is changed
    document = await database["people"].find_one({"_id": "lan"})
    assert document is not None
    assert document["name"] == "Nguyễn Lan"
    assert await entries(database) == {"lan": ("Nguyễn Lan", 2)}


async def test_an_entry_of_a_later_revision_is_never_overwritten(database: AsyncDatabase[Document]) -> None:
    # Given a process that holds a document since before two changes by another
    late, other = people(database), people(database)
    await write(other, lan={"name": "Lan"})
    await late.load(["lan"])
    await write(other, lan={"name": "Lan Anh"})
    await write(other, lan={"name": "Mai Lan"})

    with pytest.raises(WriteConflict):
        await late.write({"lan": {"name": "Lan Chi"}})

    assert await entries(database) == {"lan": ("Mai Lan", 3)}


async def test_two_writers_that_create_the_same_document_agree_on_its_entry(database: AsyncDatabase[Document]) -> None:
    first, second = people(database), people(database)
    await first.load(["lan"])
    await second.load(["lan"])
    await first.write({"lan": {"name": "Lan"}})

    with pytest.raises(WriteConflict):
        await second.write({"lan": {"name": "Trần Lan"}})

    assert await entries(database) == {"lan": ("Lan", 1)}
