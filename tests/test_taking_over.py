"""A projector that takes partitions over reads from where its view stands, whatever the group has committed."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from contacts_service import projections
from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.registry import events_topic
from crm_shared.projections.parking import Parking
from crm_shared.projections.progress import passed
from relata_local.servers import EmbeddedServers

CUSTOMERS = 20


@pytest.mark.slow
async def test_a_view_behind_the_groups_offsets_gets_everything_in_order(
    broker: EmbeddedServers, launch: Any, caught_up: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given customers whose first events a projector has applied and committed, and a view that was lost since then
    writer = await launch(CONTACTS, roles=("api", "relay"))
    first = await launch(CONTACTS, roles=("project",))
    customers = []
    for number in range(CUSTOMERS):
        body = {"source": "test", "identifiers": [{"type": "email", "value": f"customer{number}@example.com"}]}
        answer = (await writer.client.post("/v1/customers/identify", json=body)).json()
        customers.append(answer["customer_id"])
    await caught_up(first, answer["position"], of="contacts")
    group = first.runtime.kafka.consumer(group=projections.CUSTOMERS.name)
    await group.start()
    partitions = [TopicPartition(events_topic("contacts"), number) for number in range(first.runtime.kafka.partitions)]

    async def committed() -> bool:
        # Not counted by the number of events: watermarks are records of the topic, too.
        view = await first.runtime.consumers[0].progress.load()
        if not passed(list(view.values()), "contacts", answer["position"], len(partitions)):
            return False
        applied = [view[one.partition].offsets[one.topic] for one in partitions]
        return [await group.committed(one) for one in partitions] == applied

    await eventually(committed)
    await group.stop()
    await first.stop()
    await first.runtime.database.client.drop_database(first.runtime.database.name)
    for customer in customers:
        last = (await writer.client.put(f"/v1/customers/{customer}/tags/later")).json()["position"]

    # when the next projector's store is slower than the broker
    load = Parking.load

    async def load_slowly(parking: Parking) -> None:
        await asyncio.sleep(1)
        await load(parking)

    monkeypatch.setattr(Parking, "load", load_slowly)
    second = await launch(CONTACTS, roles=("project",))
    await caught_up(second, last, of="contacts")

    # then the view holds all of both
    documents = {one["_id"]: one async for one in second.runtime.database["customers"].find()}
    assert set(documents) == set(customers)
    assert all(one["identifiers"] and one["tags"] == ["later"] for one in documents.values())
