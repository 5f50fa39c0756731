"""From the broker to a view: each event once, poison set aside with its customer, and what survives a restart."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contacts_service.main import DEFINITION as CONTACTS
from contacts_service.projections import CUSTOMERS
from crm_contracts.envelope import Record, encode
from crm_contracts.events import contacts as public
from crm_contracts.registry import EventData
from crm_shared.kafka import Kafka, Topic
from crm_shared.projections import DocumentProjection
from crm_shared.projections.rebuild import Rebuild
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

LAN, MINH = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Send = Callable[..., Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Fact:
    """What a stored event would say of itself."""

    originator_id: UUID
    originator_version: int
    timestamp: datetime = NOON
    occurred_at: datetime = NOON
    context: dict[str, str] = dataclasses.field(
        default_factory=lambda: {
            "correlation_id": "c",
            "causation_id": "c",
            "actor": "test",
            "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        }
    )


def record(customer: UUID, position: int, data: EventData) -> Record:
    return encode(Fact(customer, position), position, str(customer), data)


def identified(customer: UUID, position: int, name: str = "Lan") -> Record:
    data = public.CustomerIdentified(
        customer_id=str(customer), source="test", identifiers=[], profile=public.Profile(name=name), tags=[]
    )
    return record(customer, position, data)


def tagged(customer: UUID, position: int, tag: str) -> Record:
    return record(customer, position, public.CustomerTagged(customer_id=str(customer), tag=tag))


def poisoned(customer: UUID, position: int) -> Record:
    """An event whose payload the fold cannot take."""
    good = tagged(customer, position, "x")
    return good._replace(value=b'{"customer_id": "%s"}' % str(customer).encode())


def unknown(customer: UUID, position: int) -> Record:
    """An event of a type that did not exist when the projection was written."""
    good = tagged(customer, position, "x")
    headers = [
        (name, b"crm.contacts.CustomerPromoted.v1" if name == "ce_type" else text) for name, text in good.headers
    ]
    return good._replace(headers=headers)


@pytest.fixture
def send(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> Send:
    """Sends records as a relay would, creating the topics first."""

    async def send_all(*records: Record) -> None:
        kafka = Kafka(settings_for("contacts"))
        admin, producer = kafka.admin(), kafka.producer()
        await admin.start()
        await producer.start()
        try:
            await kafka.ensure_topics(admin, [Topic(one.topic) for one in records])
            for one in records:
                await producer.send_and_wait(
                    one.topic,
                    one.value,
                    key=one.key,
                    headers=list(one.headers),
                    partition=kafka.partition_of(one.key),
                )
        finally:
            await producer.stop()
            await admin.close()

    return send_all


async def documents(launched: Any) -> dict[str, Any]:
    return {one["_id"]: one async for one in launched.runtime.database["customers"].find()}


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """The documents without what counts writes."""
    return {key: {name: value for name, value in one.items() if name != "revision"} for key, one in found.items()}


def rebuild_of(launched: Any) -> Rebuild:
    """A rebuild of the view beside the running one."""
    database = launched.runtime.database
    return Rebuild(DocumentProjection(database, CUSTOMERS), database, launched.runtime.kafka)


async def tags_of(launched: Any, customer: UUID) -> Sequence[str]:
    tags: Sequence[str] = (await documents(launched)).get(str(customer), {}).get("tags", [])
    return tags


async def test_duplicates_redelivery_and_stale_events_leave_the_view_unchanged(
    send: Send, launch: Any, caught_up: Any
) -> None:
    view = await launch(CONTACTS, roles=("project",))
    history = [identified(LAN, 1), tagged(LAN, 2, "a"), identified(MINH, 3, "Minh"), tagged(LAN, 4, "b")]
    await send(*history)
    await caught_up(view, 4, of="contacts")
    before = await documents(view)

    await send(*history, history[1], history[1], history[0], tagged(MINH, 5, "last"))
    await caught_up(view, 5, of="contacts")

    after = await documents(view)
    assert after[str(LAN)] == before[str(LAN)]
    assert after[str(LAN)]["tags"] == ["a", "b"]
    assert after[str(MINH)]["tags"] == ["last"]


async def test_unknown_event_types_and_fields_are_skipped(send: Send, launch: Any, caught_up: Any) -> None:
    view = await launch(CONTACTS, roles=("project",))
    more = tagged(LAN, 3, "known")
    more = more._replace(value=(more.value or b"")[:-1] + b',"invented_later":{"deep":[1]}}')

    await send(identified(LAN, 1), unknown(LAN, 2), more)
    await caught_up(view, 3, of="contacts")

    assert await tags_of(view, LAN) == ["known"]
    assert (await view.client.get("/v1/operations/parked")).json() == {"items": []}


async def test_poison_parks_its_customer_while_others_flow_and_a_release_loses_nothing(
    send: Send, launch: Any, caught_up: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await launch(CONTACTS, roles=("project",))
    await send(
        identified(LAN, 1), identified(MINH, 2), poisoned(LAN, 3), tagged(LAN, 4, "later"), tagged(MINH, 5, "ok")
    )
    await caught_up(view, 5, of="contacts")

    parked = (await view.client.get("/v1/operations/parked")).json()["items"]
    assert [(one["projection"], one["customer_id"]) for one in parked] == [(CUSTOMERS.name, str(LAN))]
    assert "tag" in parked[0]["reason"]
    assert await tags_of(view, LAN) == []
    assert await tags_of(view, MINH) == ["ok"]

    # The code is mended: what was poison can be folded from now on.
    projection = view.runtime.consumers[0].applier
    fold = projection.declared.fold
    mending = dataclasses.replace(projection.declared, fold=lambda document, event: fold(document, mended(event)))
    monkeypatch.setattr(projection, "declared", mending)
    answer = await view.client.post(f"/v1/operations/parked/{CUSTOMERS.name}/{LAN}/release")

    async def released() -> bool:
        return not (await view.client.get("/v1/operations/parked")).json()["items"]

    assert answer.status_code == 202
    await eventually(released)
    assert await tags_of(view, LAN) == ["mended", "later"]
    await send(tagged(LAN, 6, "after"))
    await caught_up(view, 6, of="contacts")
    assert await tags_of(view, LAN) == ["mended", "later", "after"]


def mended(event: Any) -> Any:
    return (
        event
        if "tag" in event.data or event.name != "CustomerTagged"
        else dataclasses.replace(event, data={**event.data, "tag": "mended"})
    )


async def test_a_release_of_what_is_still_poison_keeps_the_customer_parked(
    send: Send, launch: Any, caught_up: Any, eventually: Any
) -> None:
    view = await launch(CONTACTS, roles=("project",))
    await send(identified(LAN, 1), poisoned(LAN, 2), tagged(LAN, 3, "later"))

    async def parked() -> Any:
        return (await view.client.get("/v1/operations/parked")).json()["items"]

    await eventually(parked)
    await view.client.post(f"/v1/operations/parked/{CUSTOMERS.name}/{LAN}/release")

    async def refused() -> bool:
        return [one["release_requested"] for one in await parked()] == [False]

    await eventually(refused)
    assert await tags_of(view, LAN) == []


async def test_releasing_somebody_who_is_not_parked_is_not_found(send: Send, launch: Any) -> None:
    view = await launch(CONTACTS, roles=("project",))

    nobody = await view.client.post(f"/v1/operations/parked/{CUSTOMERS.name}/{MINH}/release")
    nowhere = await view.client.post(f"/v1/operations/parked/nope/{MINH}/release")

    assert (nobody.status_code, nowhere.status_code) == (404, 404)


async def test_a_record_that_is_no_event_goes_to_the_dead_letters(
    send: Send, launch: Any, caught_up: Any, eventually: Any
) -> None:
    view = await launch(CONTACTS, roles=("project",))
    broken = identified(LAN, 1)._replace(value=b"not json")

    await send(broken, identified(MINH, 2))
    await caught_up(view, 2, of="contacts")

    parked = (await view.client.get("/v1/operations/parked")).json()["items"]
    assert [one["customer_id"] for one in parked] == [str(LAN)]
    assert set(await documents(view)) == {str(MINH)}


@pytest.mark.slow
async def test_a_restarted_projector_goes_on_where_it_was(send: Send, launch: Any, caught_up: Any) -> None:
    first = await launch(CONTACTS, roles=("project",))
    await send(identified(LAN, 1), tagged(LAN, 2, "a"))
    await caught_up(first, 2, of="contacts")
    await first.stop()
    await send(tagged(LAN, 3, "b"))

    second = await launch(CONTACTS, roles=("project",))
    await caught_up(second, 3, of="contacts")

    assert await tags_of(second, LAN) == ["a", "b"]


@pytest.mark.slow
async def test_a_broker_that_lost_everything_changes_nothing_in_the_view(
    send: Send, launch: Any, caught_up: Any, broker: EmbeddedServers
) -> None:
    view = await launch(CONTACTS, roles=("project",))
    history = [identified(LAN, 1), tagged(LAN, 2, "a"), identified(MINH, 3)]
    await send(*history)
    await caught_up(view, 3, of="contacts")
    before = await documents(view)

    broker.broker.restart()
    await send(*history, tagged(MINH, 4, "new"))
    await caught_up(view, 4, of="contacts")

    after = await documents(view)
    assert after[str(LAN)] == before[str(LAN)]
    assert after[str(MINH)]["tags"] == ["new"]


@pytest.mark.slow
async def test_a_lost_view_is_built_again_from_the_broker(send: Send, launch: Any, caught_up: Any) -> None:
    first = await launch(CONTACTS, roles=("project",))
    await send(identified(LAN, 1), tagged(LAN, 2, "a"), identified(MINH, 3))
    await caught_up(first, 3, of="contacts")
    before = await documents(first)
    await first.stop()
    await first.runtime.database.client.drop_database(first.runtime.database.name)

    second = await launch(CONTACTS, roles=("project",))
    await caught_up(second, 3, of="contacts")

    assert comparable(await documents(second)) == comparable(before)


@pytest.mark.slow
async def test_a_view_is_rebuilt_beside_the_live_one_and_switched_to_without_missing_anything(
    send: Send, launch: Any, caught_up: Any, eventually: Any
) -> None:
    view = await launch(CONTACTS, roles=("api", "project"))
    await send(identified(LAN, 1), tagged(LAN, 2, "a"), identified(MINH, 3), unknown(MINH, 4))
    await caught_up(view, 4, of="contacts")
    before = await documents(view)
    consumer = view.runtime.consumers[0]
    rebuild = rebuild_of(view)

    rebuilt = await rebuild.fill()
    await send(tagged(LAN, 5, "meanwhile"))
    await caught_up(view, 5, of="contacts")
    await rebuild.switch(rebuilt)

    async def moved() -> bool:
        return bool(consumer.applier.generation == 2 and consumer.ready)

    assert (rebuilt.events, rebuilt.comparison.equal, rebuilt.comparison.agrees) == (3, 2, True)
    await eventually(moved)
    await caught_up(view, 5, of="contacts")
    answer = await view.client.get(f"/v1/customers/{LAN}", params={"after": "contacts:5"})
    assert answer.json()["tags"] == ["a", "meanwhile"]
    green = {one["_id"]: one async for one in view.runtime.database["customers@2"].find()}
    assert comparable(green)[str(MINH)] == comparable(before)[str(MINH)]


async def test_a_rebuild_shows_what_differs_from_the_live_view(send: Send, launch: Any, caught_up: Any) -> None:
    view = await launch(CONTACTS, roles=("project",))
    await send(identified(LAN, 1), identified(MINH, 2))
    await caught_up(view, 2, of="contacts")
    await view.runtime.database["customers"].update_one({"_id": str(LAN)}, {"$set": {"tags": ["corrupted"]}})
    await view.runtime.database["customers"].delete_one({"_id": str(MINH)})

    rebuilt = await rebuild_of(view).fill()

    assert not rebuilt.comparison.agrees
    assert (rebuilt.comparison.different, rebuilt.comparison.missing) == (1, 1)
    assert set(rebuilt.comparison.examples) == {str(LAN), str(MINH)}
