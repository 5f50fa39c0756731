"""A rebuild by several processes: the same view as by one, and nothing becomes live when one of them fails."""

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from tests.publication import Publication
from tests.rebuilt_views import NOTES, TAGS

from contacts_service.projections import CUSTOMERS as CONTACTS
from crm_contracts.events.contacts import CustomerIdentified, CustomerTagged, Identifier, Profile
from crm_contracts.events.interactions import PurchaseRecorded
from crm_contracts.types import Money
from crm_shared.domain.errors import Conflict
from crm_shared.kafka import Kafka, Topic
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection, Projection
from crm_shared.projections.filling_process import FillingEnded, place_of
from crm_shared.projections.parking import COLLECTION as PARKED
from crm_shared.projections.progress import COLLECTION as PROGRESS
from crm_shared.projections.rebuild import Rebuild
from crm_shared.settings import Settings
from customer360_service.projections import CUSTOMERS as CUSTOMERS_360
from relata_local.servers import EmbeddedServers

CUSTOMERS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(30)]
LIVE = {"_id": CUSTOMERS[0], "tags": ["as it was"], "positions": {"contacts": 1}, "revision": 1}


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("rebuilt")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.mongodb_database]


@pytest_asyncio.fixture
async def publication(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[Publication]:
    async with Publication(settings_for("rebuilt")) as publication:
        await publication.create(*(Topic(name) for name in CUSTOMERS_360.topics))
        yield publication


def rebuild_of(declared: Projection, database: AsyncDatabase[Document], kafka: Kafka, **how: Any) -> Rebuild:
    view = DocumentProjection(database, declared, partition_of=kafka.partition_of)
    return Rebuild(view, database, kafka, **how)


async def everything(database: AsyncDatabase[Document], declared: Projection) -> dict[str, Any]:
    """What a rebuild has written, with the indexes; of the progress what is not of the moment."""
    found: dict[str, Any] = {}
    for name in declared.collections:
        collection = database[f"{name}@2"]
        found[name] = await collection.find({}).sort("_id", 1).to_list()
        found[f"indexes of {name}"] = sorted(await collection.index_information())
    progress = await database[PROGRESS].find_one({"_id": f"{declared.name}@2"})
    assert progress is not None
    found["progress"] = {
        partition: {name: value for name, value in section.items() if name != "updated_at"}
        for partition, section in progress["partitions"].items()
    }
    return found


def tagged(customer_id: str, tag: str) -> CustomerTagged:
    return CustomerTagged(customer_id=customer_id, tag=tag)


async def settle(publication: Publication) -> None:
    """Let watermarks be the last there is: the embedded broker does not count its latest batch to the end."""
    for service in ("contacts", "interactions"):
        await publication.watermark(service, 1_000)


async def test_several_processes_write_the_same_view_as_one(
    database: AsyncDatabase[Document], publication: Publication
) -> None:
    for number, customer_id in enumerate(CUSTOMERS, 1):
        profile = Profile(name=f"Customer {number}")
        identifiers = [Identifier(type="email", value=f"c{number}@example.com", system=None)]
        identified = CustomerIdentified(
            customer_id=customer_id, source="test", identifiers=identifiers, profile=profile, tags=["new"]
        )
        total = Money(amount="10.50", currency="VND")
        bought = PurchaseRecorded(
            purchase_id=str(number), customer_id=customer_id, system="shop", order_id=str(number), total=total, lines=[]
        )
        await publication.send(identified, number)
        await publication.send(bought, number)
        await publication.send(tagged(customer_id, "bought"), len(CUSTOMERS) + number)
    await settle(publication)

    shown: list[tuple[int, int, int]] = []

    def show(*numbers: int) -> None:
        shown.append((numbers[0], numbers[1], numbers[2]))

    for declared, events in ((CONTACTS, 60), (CUSTOMERS_360, 90)):
        alone = await rebuild_of(declared, database, publication.kafka, processes=1).fill()
        written = await everything(database, declared)

        for how in ({"processes": 3}, {"processes": 2, "folds_here": False}):
            shown.clear()
            rebuild = rebuild_of(declared, database, publication.kafka, **how)
            together = await rebuild.fill(show)

            assert await everything(database, declared) == written
            assert dataclasses.replace(together, comparison=alone.comparison) == alone
            assert [done for done, _, _ in shown] == list(range(1, publication.kafka.partitions + 1))
            assert shown[-1] == (publication.kafka.partitions, publication.kafka.partitions, events)
        assert len(written[declared.collection]) == len(CUSTOMERS)
        assert (together.comparison.documents, together.comparison.missing) == (30, 30), "there is no live view"


async def test_documents_are_compared_wherever_they_were_folded(
    database: AsyncDatabase[Document], publication: Publication
) -> None:
    for position, customer_id in enumerate(CUSTOMERS, 1):
        await publication.send(tagged(customer_id, "a"), position)
    await settle(publication)
    view = database[TAGS.collection]
    await view.insert_many(
        [
            {"_id": one, "tags": ["a"], "positions": {"contacts": position}, "revision": 3}
            for position, one in enumerate(CUSTOMERS, 1)
        ]
    )
    await view.update_one({"_id": CUSTOMERS[3]}, {"$set": {"tags": ["corrupted"]}})
    await view.update_one({"_id": CUSTOMERS[4]}, {"$set": {"positions.contacts": 99}})
    await view.delete_one({"_id": CUSTOMERS[5]})

    rebuilt = await rebuild_of(TAGS, database, publication.kafka, processes=2, folds_here=False).fill()

    found = rebuilt.comparison
    assert (found.documents, found.equal, found.ahead, found.different, found.missing) == (30, 27, 1, 1, 1)
    assert set(found.examples) == {CUSTOMERS[3], CUSTOMERS[5]}


async def test_an_event_that_a_process_cannot_fold_is_the_same_error_as_here(
    database: AsyncDatabase[Document], publication: Publication
) -> None:
    await publication.send(tagged(CUSTOMERS[0], "a"), 1)
    await publication.send(tagged(CUSTOMERS[1], "not foldable"), 2)
    await settle(publication)

    for how in ({"processes": 2, "folds_here": False}, {"processes": 1}):
        with pytest.raises(Conflict, match=f"customer {CUSTOMERS[1]} cannot be folded.*this one not") as raised:
            await rebuild_of(TAGS, database, publication.kafka, **how).fill()
        assert raised.value.code == "event_not_foldable"

    # A parked customer's is left out.
    await database[PARKED].insert_one({"projection": TAGS.name, "customer_id": CUSTOMERS[1]})
    rebuilt = await rebuild_of(TAGS, database, publication.kafka, processes=1, folds_here=False).fill()
    assert (rebuilt.events, rebuilt.comparison.documents) == (1, 1)


async def test_a_process_that_is_killed_fails_the_rebuild_and_leaves_the_live_view_as_it_is(
    database: AsyncDatabase[Document], publication: Publication
) -> None:
    await database[TAGS.collection].insert_one(LIVE)
    await publication.send(tagged(CUSTOMERS[0], "a"), 1)
    await publication.send(tagged(CUSTOMERS[1], "deadly"), 2)
    await settle(publication)

    with pytest.raises(FillingEnded, match="a process that folds ended with -9"):
        await rebuild_of(TAGS, database, publication.kafka, processes=2, folds_here=False).fill()

    assert await database[TAGS.collection].find({}).to_list() == [LIVE]
    assert await database["view_generations"].find({}).to_list() == []


async def test_processes_end_with_the_rebuild_that_is_cancelled(
    database: AsyncDatabase[Document],
    publication: Publication,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:
    monkeypatch.setenv(NOTES, str(tmp_path))
    await publication.send(tagged(CUSTOMERS[0], "endless"), 1)
    await settle(publication)
    filling = asyncio.create_task(rebuild_of(TAGS, database, publication.kafka, processes=2, folds_here=False).fill())

    async def folding() -> list[str]:
        return os.listdir(tmp_path)

    (process,) = await eventually(folding)
    filling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(filling, 10)

    assert filling.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)


def test_a_projection_is_found_where_it_is_declared() -> None:
    assert place_of(CONTACTS) == "contacts_service.projections:CUSTOMERS"
    assert place_of(CUSTOMERS_360) == "customer360_service.projections:CUSTOMERS"
    assert place_of(TAGS) == "tests.rebuilt_views:TAGS"
    assert place_of(dataclasses.replace(CONTACTS, layout=9)) is None
