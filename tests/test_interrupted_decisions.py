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
from segmentation_service.policies.decided import memberships_of
from segmentation_service.projections import FACTS, MEMBERS

VIP = {"name": "VIP", "condition": {"field": "tags", "op": "contains", "value": "vip"}}
GOLD = {"name": "VIP", "condition": {"field": "tags", "op": "contains", "value": "gold"}}


@contextmanager
def unwritable() -> Iterator[None]:
    """Meanwhile no facts can be written."""
    with pytest.MonkeyPatch.context() as patched:
        written = Documents.write

        async def write(documents: Documents, changed: dict[str, Document]) -> None:
            if changed and documents.collection.name == FACTS.collection:
                raise AutoReconnect("the document store is away")
            await written(documents, changed)

        patched.setattr(Documents, "write", write)
        yield


@pytest.mark.parametrize("changed_to", ["redefined", "retired"])
async def test_a_decision_stored_before_a_crash_is_revised_when_the_segment_has_changed_meanwhile(
    broker: EmbeddedServers,
    launch: Callable[..., Awaitable[Any]],
    eventually: Callable[..., Awaitable[Any]],
    changed_to: str,
) -> None:
    # given a customer of whom segmentation knows, and who becomes a member while no document can be written
    contacts, segmentation = await launch(CONTACTS, roles=("api", "relay")), await launch(SEGMENTATION)
    application = segmentation.runtime.application
    defined = (await segmentation.client.put("/v1/segments/vip", json=VIP)).json()

    async def ready() -> bool:
        after = {"after": f"segmentation:{defined['position']}"}
        return bool((await segmentation.client.get("/v1/segments/vip", params=after)).json()["status"] == "ready")

    await eventually(ready)
    body = {"source": "test", "identifiers": [{"type": "email", "value": "lan@example.com"}]}
    identified = (await contacts.client.post("/v1/customers/identify", json=body)).json()
    customer = identified["customer_id"]
    known = {"after": f"contacts:{identified['position']}"}
    assert (await segmentation.client.get("/v1/segments/vip/members", params=known)).json()["items"] == []

    async def memberships() -> Memberships | None:
        return memberships_of(application, [customer]).get(customer)

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

    # then the log and the view agree that the customer is no member any more
    async def gone() -> bool:
        decided = await memberships()
        shown = await segmentation.runtime.database[MEMBERS.collection].find_one({"_id": customer})
        return decided is not None and not decided.since and shown is not None and not shown["since"]

    await eventually(gone, seconds=10)
    why = await segmentation.client.get(
        f"/v1/segments/vip/customers/{customer}", params={"after": f"contacts:{tagged['position']}"}
    )
    if changed_to == "redefined":
        assert why.json()["member"] is False
    else:
        assert why.status_code == 404
