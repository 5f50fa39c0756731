"""From the four topics to the 360: several sources at once, what is skipped, poison, a wiped broker, a restart."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.envelope import PublicEvent, Record, decode
from crm_contracts.events import contacts, interactions, segmentation
from crm_contracts.registry import EventData
from crm_contracts.types import Money
from crm_shared.kafka import Kafka, Topic
from crm_shared.projections import Rows
from crm_shared.settings import Settings
from customer360_service.main import DEFINITION
from customer360_service.projections import CUSTOMERS
from customer360_service.projections.timeline import row
from relata_local.servers import EmbeddedServers

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
LAN, MINH, ANH, OTHER = (UUID(int=number) for number in (1, 2, 3, 4))
SOME_UUID = "c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f"

Published = Callable[..., Record]
Send = Callable[..., Awaitable[None]]
Launch = Callable[..., Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]


def identified(who: UUID, name: str, attributes: dict[str, Any] | None = None) -> EventData:
    return contacts.CustomerIdentified(
        customer_id=str(who),
        source="pos",
        identifiers=[],
        profile=contacts.Profile(name=name),
        tags=[],
        attributes=attributes,
    )


def bought(who: UUID, amount: str) -> EventData:
    return interactions.PurchaseRecorded(
        purchase_id=SOME_UUID,
        customer_id=str(who),
        system="pos",
        order_id="1",
        total=Money(amount=amount, currency="USD"),
        lines=[],
    )


def with_type(record: Record, ce_type: bytes) -> Record:
    return record._replace(headers=[(name, ce_type if name == "ce_type" else text) for name, text in record.headers])


@pytest.fixture
def send(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> Send:
    """Sends records as relays would, creating the topics first."""

    async def send_all(*records: Record) -> None:
        kafka = Kafka(settings_for("customer360"))
        admin, producer = kafka.admin(), kafka.producer()
        await admin.start()
        await producer.start()
        try:
            await kafka.ensure_topics(admin, [Topic(topic) for topic in CUSTOMERS.topics])
            for one in records:
                place = kafka.partition_of(one.key)
                headers = list(one.headers)
                await producer.send_and_wait(one.topic, one.value, key=one.key, headers=headers, partition=place)
        finally:
            await producer.stop()
            await admin.close()

    return send_all


async def shown(launched: Any, who: UUID) -> dict[str, Any]:
    """The 360 without its positions; empty when the customer is unknown."""
    response = await launched.client.get(f"/v1/customers/{who}")
    return response.json() if response.status_code == 200 else {}


async def test_every_source_arrives_and_what_is_unknown_is_skipped(
    send: Send, launch: Launch, published: Published, caught_up: Callable[..., Awaitable[None]]
) -> None:
    # Given events of several sources for a customer whom contacts announces last
    newer = published(bought(LAN, "5.00"), 4)
    newer = newer._replace(value=newer.value[:-1] + b',"discount":{"code":"X"}}' if newer.value else None)
    await send(
        published(bought(LAN, "10.50"), 3),
        newer,
        with_type(published(bought(LAN, "99.00"), 5), b"crm.interactions.PurchaseReturned.v1"),
        with_type(published(bought(LAN, "99.00"), 6), b"crm.interactions.PurchaseRecorded.v2"),
        with_type(published(bought(LAN, "99.00"), 7), b"com.example.other"),
        published(segmentation.SegmentRetired(segment_id=str(MINH), key="old"), 1),
        published(bought(LAN, "10.50"), 3),
    )
    launched = await launch(DEFINITION)
    await caught_up(launched, 4, of="interactions")

    # When the 360 is asked for before and after the announcement
    before = await shown(launched, LAN)
    await send(published(identified(LAN, "Lan"), 8))
    after = await launched.client.get(f"/v1/customers/{LAN}", params={"after": ["contacts:8", "interactions:4"]})

    # Then it holds what is known, once, and the segment is no customer
    assert (before["identified"], before["purchases"]["revenue"]) == (False, {"USD": "15.50"})
    assert after.status_code == 200
    assert (after.json()["identified"], after.json()["profile"]) == (True, {"name": "Lan"})
    assert after.json()["purchases"]["count"] == 2
    assert await shown(launched, MINH) == {}
    assert (await launched.client.get("/v1/operations/parked")).json() == {"items": []}
    assert (await launched.client.get("/readyz")).status_code == 200
    status = (await launched.client.get("/v1/operations/status")).json()
    assert (status["events_stored"], status["projections"][0]["name"]) == (0, CUSTOMERS.name)


async def test_poison_parks_its_customer_while_others_flow_and_release_goes_on(
    send: Send, launch: Launch, published: Published, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given events that the fold cannot take, and others that the store cannot take, between good ones
    broken = published(bought(LAN, "2.00"), 3)
    await send(
        published(bought(LAN, "1.00"), 2),
        broken._replace(value=b'{"customer_id": "x"}'),
        published(bought(LAN, "4.00"), 4),
        published(identified(MINH, "Minh", {"nul\x00": 1}), 1),
        published(identified(ANH, "Anh", {"huge": 2**64 - 1}), 2),
        published(bought(OTHER, "3.00"), 5),
    )

    # When they are consumed
    launched = await launch(DEFINITION)

    async def parked() -> set[str]:
        items = (await launched.client.get("/v1/operations/parked")).json()["items"]
        return {one["customer_id"] for one in items}

    async def all_parked() -> bool:
        return await parked() == {str(LAN), str(MINH), str(ANH)}

    await eventually(all_parked)
    other = await eventually(lambda: shown(launched, OTHER))

    # Then the others flow, and each parked customer stands where it was
    assert other["purchases"]["revenue"] == {"USD": "3.00"}
    assert (await shown(launched, LAN))["purchases"]["revenue"] == {"USD": "1.00"}
    assert (await shown(launched, MINH), await shown(launched, ANH)) == ({}, {})

    # And once the code is mended, a release brings what waited, in order
    projection = launched.runtime.consumers[0].applier
    good = decode(broken.key, broken.value, broken.headers)

    def mended(event: PublicEvent) -> PublicEvent:
        return good if event.id == good.id else event

    fold, rows = CUSTOMERS.fold, Rows("timeline", lambda event: row(mended(event)))
    mended_view = replace(CUSTOMERS, fold=lambda document, event: fold(document, mended(event)), rows=rows)
    monkeypatch.setattr(projection, "declared", mended_view)
    await launched.client.post(f"/v1/operations/parked/{CUSTOMERS.name}/{LAN}/release")

    async def released() -> bool:
        return await parked() == {str(MINH), str(ANH)}

    await eventually(released)
    timeline = (await launched.client.get(f"/v1/customers/{LAN}/timeline")).json()["items"]
    assert (await shown(launched, LAN))["purchases"]["revenue"] == {"USD": "7.00"}
    assert [one["position"] for one in timeline] == [4, 3, 2]


@pytest.mark.slow
async def test_a_wiped_broker_and_a_restart_double_nothing(
    broker: EmbeddedServers, send: Send, launch: Launch, published: Published, eventually: Eventually
) -> None:
    # Given a view of a history
    history = [published(identified(LAN, "Lan"), 1), *(published(bought(LAN, "1.10"), i) for i in range(2, 12))]
    await send(*history)
    launched = await launch(DEFINITION)

    async def complete(launched: Any, count: int) -> dict[str, Any]:
        found = await shown(launched, LAN)
        return found if found and found["purchases"]["count"] == count else {}

    first = await eventually(lambda: complete(launched, 10))

    # When the broker loses everything and gets the history again, and more
    broker.broker.restart()
    await send(*history, published(bought(LAN, "1.00"), 12))
    second = await eventually(lambda: complete(launched, 11))

    # And the service starts again
    await launched.stop()
    again = await launch(DEFINITION)
    await send(published(bought(LAN, "1.00"), 12), published(bought(LAN, "1.00"), 13))
    third = await eventually(lambda: complete(again, 12))

    # Then everything is there once
    timeline = (await again.client.get(f"/v1/customers/{LAN}/timeline", params={"limit": 500})).json()["items"]
    assert [one["purchases"]["revenue"] for one in (first, second, third)] == [
        {"USD": "11.00"},
        {"USD": "12.00"},
        {"USD": "13.00"},
    ]
    assert len(timeline) == 13
    assert (await again.client.get("/v1/kpis")).json()["revenue"] == {"USD": "13.00"}
