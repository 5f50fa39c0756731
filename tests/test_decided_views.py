"""What is asked with a position of its cause includes every decision that followed from everything up to there."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from interactions_service.main import DEFINITION as INTERACTIONS
from relata_local.servers import EmbeddedServers
from segmentation_service.main import DEFINITION as SEGMENTATION

CUSTOMERS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(300)]
REPEAT = {"name": "Repeat", "condition": {"field": "purchases.count", "op": "gte", "value": 2}}


async def test_members_after_an_import_are_all_whom_it_made_members(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], eventually: Callable[..., Awaitable[Any]]
) -> None:
    interactions, segmentation = await launch(INTERACTIONS, roles=("api", "relay")), await launch(SEGMENTATION)
    defined = (await segmentation.client.put("/v1/segments/repeat", json=REPEAT)).json()

    async def ready() -> bool:
        after = {"after": f"segmentation:{defined['position']}"}
        answer = (await segmentation.client.get("/v1/segments/repeat", params=after)).json()
        return bool(answer.get("status") == "ready")

    await eventually(ready)
    lines = [
        {
            "customer_id": customer,
            "system": "shop",
            "order_id": f"{customer}-{number}",
            "occurred_at": "2026-01-01T00:00:00Z",
            "total": {"amount": "1", "currency": "VND"},
        }
        for number in range(2)
        for customer in CUSTOMERS
    ]
    imported = await interactions.client.post(
        "/v1/purchases/import",
        content=b"\n".join(orjson.dumps(line) for line in lines),
        headers={"Content-Type": "application/x-ndjson"},
    )
    after = {"after": f"interactions:{orjson.loads(imported.content.splitlines()[-1])['position']}"}

    async def asked(path: str, **params: Any) -> Any:
        # A view that is not there within a query's patience says so, and never answers with less.
        while (answer := await segmentation.client.get(path, params={**after, **params})).status_code == 503:
            assert answer.json()["code"] == "position_not_reached"
        return answer.json()

    members = await asked("/v1/segments/repeat/members", limit=500)
    segment = await asked("/v1/segments/repeat")

    assert [one["customer_id"] for one in members["items"]] == CUSTOMERS
    assert segment["members"] == len(CUSTOMERS)

    unknown = await segmentation.client.get("/v1/segments/repeat/members", params={"after": "loyalty:1"})
    assert unknown.status_code == 422
    assert "contacts, feedback, interactions, segmentation, not loyalty" in unknown.text
