"""Over HTTP: what each command answers, what an import answers for its lines, and what the view then shows."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from contacts_service.main import DEFINITION
from relata_local.servers import EmbeddedServers

EMAIL = {"type": "email", "value": "Lan@Example.com"}
PHONE = {"type": "phone", "value": "0912 345 678", "region": "VN"}
LOYALTY = {"type": "external", "value": "77", "system": "loyalty"}


async def test_each_command_answers_what_changed_and_the_view_shows_it(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], caught_up: Callable[..., Awaitable[None]]
) -> None:
    launched = await launch(DEFINITION)
    client = launched.client
    body = {
        "source": "webshop",
        "identifiers": [EMAIL],
        "profile": {"name": "Lan"},
        "occurred_at": "2026-01-14T09:30+07:00",
    }

    first = await client.post("/v1/customers/identify", json=body)
    again = await client.post("/v1/customers/identify", json=body)
    found = first.json()
    customer = f"/v1/customers/{found['customer_id']}"
    who = {"customer_id": found["customer_id"]}
    assert (first.status_code, again.status_code) == (201, 200)
    assert found == {**who, "created": True, "position": 2}
    assert again.json() == {**who, "created": False, "position": 2}

    patched = await client.patch(customer, json={"profile": {"name": None, "gender": "female"}})
    linked = await client.post(f"{customer}/identifiers", json={"identifiers": [EMAIL, PHONE, LOYALTY]})
    tagged = await client.put(f"{customer}/tags/vip")
    untagged = await client.delete(f"{customer}/tags/early")
    preferred = await client.put(f"{customer}/preferences", json={"channels": {"sms": False}})
    answers = [patched, linked, tagged, untagged, preferred]
    assert [one.status_code for one in answers] == [200] * 5
    assert [one.json() for one in answers] == [
        {**who, "changed": ["/profile/gender", "/profile/name"], "position": 3},
        {
            **who,
            "linked": [
                {"type": "phone", "value": "+84912345678", "system": None},
                {"type": "external", "value": "77", "system": "loyalty"},
            ],
            "position": 7,
        },
        {**who, "tag": "vip", "changed": True, "position": 8},
        {**who, "tag": "early", "changed": False, "position": 8},
        {**who, "changed": ["/channels/sms"], "position": 9},
    ]

    await caught_up(launched, 9, of="contacts")
    shown = (await client.get(customer, params={"after": "contacts:9"})).json()
    assert shown.pop("updated_at").endswith("Z")
    assert shown == {
        **who,
        "identifiers": [
            {"type": "email", "value": "lan@example.com", "system": None},
            {"type": "phone", "value": "+84912345678", "system": None},
            {"type": "external", "value": "77", "system": "loyalty"},
        ],
        "profile": {"gender": "female"},
        "tags": ["vip"],
        "attributes": {},
        "preferences": {"channels": {"sms": False}, "frequency": None, "quiet_hours": None, "language": None},
        "created_at": "2026-01-14T02:30:00Z",
        "positions": {"contacts": 9},
    }
    assert (await client.get("/v1/customers/00000000-0000-0000-0000-000000000007")).status_code == 404


async def test_lines_of_an_import_answer_the_same_fields_and_a_retry_of_a_key_the_same_values(
    launch: Callable[..., Awaitable[Any]],
) -> None:
    client = (await launch(DEFINITION, roles=("api",))).client
    lines = [
        {"source": "webshop", "identifiers": [EMAIL]},
        {"source": "webshop", "identifiers": [{"type": "phone", "value": "1"}]},
        {"source": "pos", "identifiers": [LOYALTY, EMAIL]},
    ]
    content = b"\n".join(orjson.dumps(line) for line in lines)
    headers = {"content-type": "application/x-ndjson", "idempotency-key": "import-1"}

    first = await client.post("/v1/customers/import", content=content, headers=headers)
    again = await client.post("/v1/customers/import", content=content, headers=headers)

    new, wrong, known = (orjson.loads(line) for line in first.content.splitlines())
    assert again.content == first.content
    assert (new.keys(), new["created"]) == ({"line", "customer_id", "created", "position"}, True)
    assert known == {**new, "line": 3, "created": False, "position": known["position"]}
    assert wrong["error"]["errors"][0]["field"].startswith("/identifiers/0/")

    customer = f"/v1/customers/{new['customer_id']}/identifiers"
    linking = {"json": {"identifiers": [PHONE]}, "headers": {"idempotency-key": "link-1"}}
    linked = await client.post(customer, **linking)
    repeated = await client.post(customer, **linking)
    assert linked.json()["linked"] == [{"type": "phone", "value": "+84912345678", "system": None}]
    assert (repeated.status_code, repeated.content) == (linked.status_code, linked.content)
