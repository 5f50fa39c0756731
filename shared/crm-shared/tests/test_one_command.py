"""Writes to several collections in one command: in their order, up to the first that is refused."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.mongo import Document
from crm_shared.mongo.documents import DUPLICATE_KEY
from crm_shared.mongo.one_command import OneCommand, Stopped, takes_one_command
from crm_shared.settings import Settings


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("one-command")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        found = client[settings.mongodb_database]
        await found.command("ping")
        assert takes_one_command(found)
        yield found


async def stored(database: AsyncDatabase[Document], collection: str) -> list[Document]:
    return await database[collection].find({}).sort("_id", 1).to_list()


async def test_writes_to_several_collections_are_carried_out_in_their_order(
    database: AsyncDatabase[Document],
) -> None:
    people, rows = database["people"], database["rows"]
    command = OneCommand(database)
    command.insert(people, {"_id": "Lan", "revision": 1})
    command.insert(rows, {"_id": "r1"})
    command.replace(people, {"_id": "Lan", "revision": 1}, {"_id": "Lan", "revision": 2, "tags": ["a"]})
    command.update(people, {"_id": "Lan", "revision": 2}, {"$set": {"name": "Lan"}})
    command.replace(people, {"_id": "Minh", "revision": 4}, {"_id": "Minh", "revision": 5})
    await command.run()

    assert len(command) == 5
    assert await stored(database, "people") == [
        {"_id": "Lan", "revision": 2, "tags": ["a"], "name": "Lan"},
        {"_id": "Minh", "revision": 5},
    ]
    assert await stored(database, "rows") == [{"_id": "r1"}]


@pytest.mark.parametrize("refused", ["insert", "replace", "update"])
async def test_a_refused_write_stops_the_command_and_nothing_behind_it_is_written(
    database: AsyncDatabase[Document], refused: str
) -> None:
    # given a document that is not as the second of three writes expects it
    people, rows = database["people"], database["rows"]
    await people.insert_one({"_id": "Lan", "revision": 7})
    command = OneCommand(database)
    command.insert(rows, {"_id": "before"})
    match refused:
        case "insert":
            command.insert(people, {"_id": "Lan", "revision": 1})
        case "replace":
            command.replace(people, {"_id": "Lan", "revision": 6}, {"_id": "Lan", "revision": 7, "tags": ["x"]})
        case _:
            command.update(people, {"_id": "Lan", "revision": 6}, {"$set": {"tags": ["x"]}})
    command.insert(rows, {"_id": "after"})

    with pytest.raises(Stopped) as stopped:
        await command.run()

    assert (stopped.value.index, stopped.value.code) == (1, DUPLICATE_KEY)
    assert await stored(database, "people") == [{"_id": "Lan", "revision": 7}]
    assert await stored(database, "rows") == [{"_id": "before"}]
