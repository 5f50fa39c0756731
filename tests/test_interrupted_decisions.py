"""Decisions that are stored while documents cannot be written, and definitions that change in between."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from contacts_service.main import DEFINITION as CONTACTS
from crm_shared.mongo import Document, Documents
from relata_local.servers import EmbeddedServers
from segmentation_service.domain import Memberships
from segmentation_service.main import DEFINITION as SEGMENTATION

VIP = {"name": "VIP", "condition": {"field": "tags", "op": "contains", "value": "vip"}}
GOLD = {"name": "VIP", "condition": {"field": "tags", "op": "contains", "value": "gold"}}


@contextmanager
def unwritable() -> Iterator[None]:
    """Meanwhile no document can be written."""
    with pytest.MonkeyPatch.context() as patched:

        async def write(documents: Documents, changed: dict[str, Document]) -> None:
            if changed:
                raise AutoReconnect("the document store is away")

        patched.setattr(Documents, "write", write)
        yield


@pytest.mark.parametrize("changed_to", ["redefined", "retired"])
async def test_a_decision_stored_before_a_crash_is_revised_when_the_segment_has_changed_meanwhile(
    broker: EmbeddedServers,
    launch: Callable[..., Awaitable[Any]],
    caught_up: Callable[..., Awaitable[None]],
    eventually: Callable[..., Awaitable[Any]],
    changed_to: str,
) -> None:
    # given a customer of whom segmentation knows, and who becomes a member while no document can be written
    contacts, segmentation = await launch(CONTACTS, roles=("api", "relay")), await launch(SEGMENTATION)
    application = segmentation.runtime.application
    await segmentation.client.put("/v1/segments/vip", json=VIP)
    body = {"source": "test", "identifiers": [{"type": "email", "value": "lan@example.com"}]}
    identified = (await contacts.client.post("/v1/customers/identify", json=body)).json()
    customer = identified["customer_id"]
    await caught_up(segmentation, identified["position"], of="contacts")

    async def memberships() -> Memberships | None:
        found: Memberships | None = application.memberships_of([customer]).get(customer)
        return found

    async def retired() -> bool:
        return bool((await segmentation.client.get("/v1/segments/vip")).status_code == 404)

    async def redefined() -> bool:
        shown = (await segmentation.client.get("/v1/segments/vip")).json()
        return bool(shown["version"] == 2)

    with unwritable():
        tagged = (await contacts.client.put(f"/v1/customers/{customer}/tags/vip")).json()
        await eventually(memberships)
        # when the segment changes
        if changed_to == "redefined":
            await segmentation.client.put("/v1/segments/vip", json=GOLD)
            await eventually(redefined)
        else:
            await segmentation.client.delete("/v1/segments/vip")
            await eventually(retired)
    await caught_up(segmentation, tagged["position"], of="contacts")

    # then the log and the document agree that the customer is no member any more
    async def gone() -> bool:
        decided = await memberships()
        document = await segmentation.runtime.database["customers"].find_one({"_id": customer})
        return decided is not None and not decided.since and not document["member_of"] and not document["memberships"]

    await eventually(gone, seconds=10)
