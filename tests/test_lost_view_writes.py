"""A document store that comes back without its last writes: the view ends as if nothing had happened."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo.asynchronous.database import AsyncDatabase
from tests.publication import Publication

from crm_contracts.envelope import PublicEvent, decode
from crm_contracts.events.contacts import CustomerDetailsChanged, CustomerIdentified, CustomerTagged, Profile
from crm_contracts.registry import EventData
from crm_shared.mongo import Document
from crm_shared.projections import membership
from crm_shared.projections.document_projection import GROUPED_FROM
from crm_shared.projections.progress_keeper import Note, ProgressKeeper
from crm_shared.projections.projection import advance
from crm_shared.settings import Settings
from crm_shared.testing.launching import Launched
from customer360_service.main import DEFINITION as CUSTOMER360
from customer360_service.projections import CUSTOMERS
from relata_local.documents import DocumentServer
from relata_local.ports import free_port
from relata_local.servers import EmbeddedServers

VIEW = CUSTOMERS.collections
PROGRESS = "projection_progress"
NAMES = ["Lan", "Minh", "Thảo", "Đức", "Hà"]
MANY = 2 * GROUPED_FROM
NEVER = 1e9


class History:
    """What contacts has published so far."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self.events: list[PublicEvent] = []

    async def go_on(self, events: int, *, newcomers: int = 0) -> int:
        """Publish more events, first those of new customers; the last position."""
        known = sorted({event.key for event in self.events})
        made: list[EventData] = []
        for number in range(newcomers):
            customer = f"00000000-0000-4000-8000-{len(known) + number:012d}"
            profile = Profile(name=NAMES[number % len(NAMES)])
            made.append(
                CustomerIdentified(customer_id=customer, source="test", identifiers=[], profile=profile, tags=[])
            )
            known.append(customer)
        for number in range(events - newcomers):
            customer, position = known[number % len(known)], len(self.events) + len(made) + 1
            if number % 2:
                made.append(CustomerTagged(customer_id=customer, tag=f"t{position}"))
            else:
                # What the view is searched by, there and back.
                changed = Profile(name=NAMES[position % 2])
                made.append(
                    CustomerDetailsChanged(customer_id=customer, profile=changed, attributes={}, changed=["profile"])
                )
        for data in made:
            record = await self._publication.send(data, len(self.events) + 1)
            self.events.append(decode(record.key, record.value, record.headers))
        return len(self.events)


async def stored_in(database: AsyncDatabase[Document], names: Collection[str]) -> dict[str, list[Document]]:
    return {name: await database[name].find({}).sort("_id", 1).to_list() for name in names}


async def put_back(database: AsyncDatabase[Document], before: dict[str, list[Document]]) -> None:
    """Let the store have lost what was written to these collections since."""
    for name, documents in before.items():
        await database[name].delete_many({})
        if documents:
            await database[name].insert_many(documents)


async def differences(database: AsyncDatabase[Document], events: Sequence[PublicEvent]) -> list[str]:
    """What is otherwise in the view than one pass over all events makes of nothing: collection and id."""
    assert CUSTOMERS.lookup is not None
    documents: dict[str, Document] = {}
    rows: list[Document] = []
    for event in events:
        document = advance(documents.get(event.key), event, CUSTOMERS.fold)
        assert document is not None
        documents[event.key] = document
        if (row := CUSTOMERS.row_of(event)) is not None:
            rows.append(row)
    expected = {
        "customers": documents,
        "timeline": by_id(rows),
        "customers_lookup": {key: CUSTOMERS.lookup.fields(document) for key, document in documents.items()},
    }
    found = {name: by_id(stored) for name, stored in (await stored_in(database, VIEW)).items()}
    return [
        f"{name}/{key}"
        for name, wanted in expected.items()
        for key in wanted.keys() | found[name].keys()
        if wanted.get(key) != found[name].get(key)
    ]


def by_id(documents: Sequence[Document]) -> dict[str, Document]:
    """Without what counts writes."""
    return {
        one["_id"]: {name: value for name, value in one.items() if name not in ("_id", "revision")} for one in documents
    }


@pytest_asyncio.fixture
async def history(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[History]:
    async with Publication(settings_for("contacts")) as publication:
        yield History(publication)


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[DocumentServer]:
    """An embedded document store for one test, which may kill it."""
    server = DocumentServer(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def exact(eventually: Callable[..., Awaitable[Any]], history: History) -> Callable[[Launched], Awaitable[None]]:
    """Waits until the view is exact; the error names what is not."""

    async def wait(view: Launched) -> None:
        left: list[str] = []

        async def probe() -> bool:
            left[:] = await differences(view.runtime.database, history.events)
            return not left

        try:
            await eventually(probe, seconds=15)
        except TimeoutError:
            assert left == []

    return wait


@pytest.mark.slow
async def test_a_view_whose_store_has_lost_writes_ends_exact(
    history: History,
    launch: Any,
    exact: Any,
    eventually: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What has been sealed cannot be lost: nothing is, but when the test says so.
    monkeypatch.setattr(membership, "COMMIT_SECONDS", NEVER)
    caplog.set_level(logging.WARNING)
    view = await launch(CUSTOMER360, roles=("project",))
    database = view.runtime.database
    consumer = view.runtime.consumers[0]

    async def ready() -> bool:
        return bool(consumer.ready)

    async def sealed() -> None:
        seal = ProgressKeeper.seal
        done = asyncio.Event()

        async def seal_and_say_so(keeper: ProgressKeeper) -> None:
            await seal(keeper)
            done.set()

        with monkeypatch.context() as patched:
            patched.setattr(ProgressKeeper, "seal", seal_and_say_so)
            patched.setattr(membership, "COMMIT_SECONDS", 0)
            await done.wait()

    await eventually(ready)
    everything, progress_alone = [*VIEW, PROGRESS], [PROGRESS]
    for times, (lost, size, newcomers) in enumerate(
        (
            (everything, 5, 5),
            (everything, 3, 0),
            (progress_alone, 4, 2),
            (everything, MANY, 40),
            (progress_alone, MANY, 5),
            (everything, 4, 2),
        ),
        start=1,
    ):
        # given writes that were acknowledged and are lost again, of documents that are known and others that are new
        if times > 1:
            await sealed()
        before = await stored_in(database, lost)
        await history.go_on(size, newcomers=newcomers)
        await exact(view)
        await put_back(database, before)

        # when the next events come
        await history.go_on(3)

        # then that was noticed, and nothing is missing or there twice
        await exact(view)
        noticed = [message for message in caplog.messages if "goes on from what is stored" in message]
        assert len(noticed) >= times


@pytest.mark.slow
async def test_a_store_killed_right_after_it_acknowledged_small_batches_comes_back_to_an_exact_view(
    history: History,
    launch: Any,
    exact: Any,
    documents: DocumentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given small batches that the store has acknowledged, and that no seal has made durable
    monkeypatch.setattr(membership, "COMMIT_SECONDS", NEVER)
    take_over, ended = ProgressKeeper.take_over, Note.ended
    acknowledged = asyncio.Event()
    lost = 0

    async def take_over_and_look_back(keeper: ProgressKeeper, partitions: Collection[int], cluster: str) -> None:
        nonlocal lost
        held = dict(keeper.progress)
        await take_over(keeper, partitions, cluster)
        lost += any(keeper.progress[number].done != known.done for number, known in held.items())

    def ended_and_say_so(note: Note) -> None:
        ended(note)
        acknowledged.set()

    monkeypatch.setattr(ProgressKeeper, "take_over", take_over_and_look_back)
    monkeypatch.setattr(Note, "ended", ended_and_say_so)
    view = await launch(CUSTOMER360, roles=("project",), mongodb_uri=documents.address)
    for newcomers in (3, 0, 1):
        for _ in range(3):
            await history.go_on(3, newcomers=newcomers)
            await exact(view)

        # when it is killed, before it has flushed what it acknowledged last, and starts again
        acknowledged.clear()
        await history.go_on(3, newcomers=newcomers)
        async with asyncio.timeout(15):
            await acknowledged.wait()
        await asyncio.to_thread(documents.kill)
        await asyncio.to_thread(documents.start)

        # then whatever it has lost is done again, and nothing twice
        await history.go_on(3)
        await exact(view)
    assert lost, "the store has lost nothing: this has proven nothing"
