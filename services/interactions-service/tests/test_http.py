"""The whole way of a fact over HTTP: purchases and interactions go in, and come out of the view of activities."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
import pytest_asyncio

from crm_shared.queries import write_place
from interactions_service.main import DEFINITION
from relata_local.servers import EmbeddedServers

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
NDJSON = {"content-type": "application/x-ndjson"}


def purchase(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "system": "cdnow",
        "order_id": "1",
        "occurred_at": "1997-01-18T10:30:00+07:00",
        "total": {"amount": "29.33", "currency": "USD"},
        "lines": [{"sku": "cd", "quantity": 2}],
    }
    return {**body, **changes}


def interaction(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "channel": "phone",
        "direction": "inbound",
        "occurred_at": "1997-01-18T10:30:00+07:00",
        "subject": "Hỏi về thời gian giao hàng",
    }
    return {**body, **changes}


def money(amount: Any) -> dict[str, Any]:
    return {"total": {"amount": amount, "currency": "USD"}}


def line(**changes: Any) -> dict[str, Any]:
    return {"lines": [{"sku": "cd", "quantity": 2, **changes}]}


def ndjson(*lines: Any) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [orjson.loads(line) for line in response.content.splitlines()]


@pytest_asyncio.fixture
async def api(launch: Callable[..., Awaitable[Any]]) -> httpx.AsyncClient:
    """The interface without relay and projections: for what needs the event store alone."""
    client: httpx.AsyncClient = (await launch(DEFINITION, roles=("api",))).client
    return client


async def test_what_is_recorded_is_read_back_by_its_position(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], caught_up: Callable[..., Awaitable[None]]
) -> None:
    launched = await launch(DEFINITION)
    client = launched.client
    bought = (await client.post("/v1/purchases", json=purchase(customer_id=CUSTOMER.upper()))).json()
    called = (await client.post("/v1/interactions", json=interaction(attributes={"seconds": 184}))).json()
    await caught_up(launched, called["position"], of="interactions")
    after = {"after": f"interactions:{called['position']}"}

    shown = (await client.get(f"/v1/purchases/{bought['purchase_id']}", params=after)).json()
    spoken = (await client.get(f"/v1/interactions/{called['interaction_id']}", params=after)).json()

    assert shown.pop("recorded_at").endswith("Z")
    assert shown == {
        "type": "purchase",
        "purchase_id": bought["purchase_id"],
        "customer_id": CUSTOMER,
        "system": "cdnow",
        "order_id": "1",
        "total": {"amount": "29.33", "currency": "USD"},
        "lines": [{"sku": "cd", "name": None, "category": None, "quantity": 2, "unit_price": None}],
        "channel": None,
        "occurred_at": "1997-01-18T03:30:00Z",
        "position": bought["position"],
    }
    assert (spoken["type"], spoken["subject"]) == ("interaction", "Hỏi về thời gian giao hàng")
    assert spoken["attributes"] == {"seconds": 184}
    assert (await client.get(f"/v1/purchases/{called['interaction_id']}")).status_code == 404


async def test_a_customers_activities_come_newest_first_page_by_page(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], caught_up: Callable[..., Awaitable[None]]
) -> None:
    # Given seven activities out of order, three of them at the same moment, and one of somebody else
    launched = await launch(DEFINITION)
    client = launched.client
    days = [3, 1, 2, 2, 2, 5, 4]
    reported = [
        purchase(order_id=str(number), occurred_at=f"1997-01-0{day}T00:00:00Z") for number, day in enumerate(days)
    ]
    others = purchase(order_id="x", customer_id=str(uuid4()))
    stored = answers(await client.post("/v1/purchases/import", content=ndjson(*reported, others), headers=NDJSON))
    await caught_up(launched, stored[-1]["position"], of="interactions")

    # When they are read two at a time
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 2, "after": f"interactions:{stored[-1]['position']}"}
    while True:
        page = (await client.get(f"/v1/customers/{CUSTOMER}/activities", params=params)).json()
        items += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    # Then each comes once, in order
    assert [item["occurred_at"][8:10] for item in items] == ["05", "04", "03", "02", "02", "02", "01"]
    assert {item["purchase_id"] for item in items} == {one["purchase_id"] for one in stored[:-1]}


async def test_a_cursor_of_another_customers_activities_is_refused(api: httpx.AsyncClient) -> None:
    elsewhere = write_place(datetime(1997, 1, 1, tzinfo=UTC), "x", of=("activities", str(uuid4())))

    response = await api.get(f"/v1/customers/{CUSTOMER}/activities", params={"cursor": elsewhere})

    assert response.status_code == 422
    assert [(one["field"], one["code"]) for one in response.json()["errors"]] == [("?cursor", "foreign_cursor")]


async def test_an_import_answers_every_line_also_when_every_third_is_bad(api: httpx.AsyncClient) -> None:
    # Given 10,000 lines, a third of them bad in one of many ways
    bad = [
        b'{"amount": NaN}',
        b"\xff\xfe",
        b"[]",
        orjson.dumps(purchase(occurred_at="1997-01-18T10:30:00")),
        orjson.dumps(purchase(total={"amount": "9" * 19, "currency": "USD"})),
        orjson.dumps(purchase(order_id="x" * 60_000)),
        orjson.dumps(purchase(order_id="bad", **line(unit_price={"amount": "1", "currency": "USD"}))),
    ]
    codes = ["malformed_json", "invalid_utf8", *["validation_failed"] * 3, "payload_too_large", "validation_failed"]
    lines = [
        bad[number // 3 % len(bad)] if number % 3 == 0 else purchase(order_id=str(number))
        for number in range(1, 10_001)
    ]

    # When they are imported twice
    first = answers(await api.post("/v1/purchases/import", content=ndjson(*lines), headers=NDJSON))
    again = answers(await api.post("/v1/purchases/import", content=ndjson(*lines), headers=NDJSON))

    # Then each line has its answer, the good ones were stored once, and the second time changed nothing
    assert [one["line"] for one in first] == list(range(1, 10_001))
    assert [one["line"] for one in first if "error" in one] == list(range(3, 10_001, 3))
    assert [one["error"]["code"] for one in first[2 : 3 * len(bad) : 3]] == codes[1:] + codes[:1]
    assert [one["position"] for one in first if "error" not in one] == list(range(1, 6_668))
    assert all(one["created"] for one in first if "error" not in one)
    assert again == [one if "error" in one else {**one, "created": False} for one in first]


async def test_a_line_that_repeats_or_contradicts_an_earlier_one_says_so(api: httpx.AsyncClient) -> None:
    lines = [
        interaction(external_id="1"),
        interaction(external_id="1"),
        interaction(external_id="1", direction="outbound"),
        b"",
        interaction(),
    ]

    stored, repeated, contradicting, last = answers(
        await api.post("/v1/interactions/import", content=ndjson(*lines), headers=NDJSON)
    )

    assert stored["created"] is True
    assert repeated == {**stored, "line": 2, "created": False}
    assert contradicting["error"]["code"] == "interaction_conflict"
    assert contradicting["error"]["interaction_id"] == stored["interaction_id"]
    assert (last["line"], last["created"], last["position"]) == (5, True, 2)


async def test_a_purchase_again_is_200_with_the_first_position_and_409_with_other_content(
    api: httpx.AsyncClient,
) -> None:
    first = await api.post("/v1/purchases", json=purchase())
    await api.post("/v1/purchases", json=purchase(order_id="2"))

    again = await api.post("/v1/purchases", json=purchase(total={"amount": "29.330", "currency": "USD"}))
    other = await api.post("/v1/purchases", json=purchase(total={"amount": "29.34", "currency": "USD"}))

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == {**first.json(), "created": False}
    assert (other.json()["code"], other.json()["purchase_id"]) == ("purchase_conflict", first.json()["purchase_id"])


async def test_an_interaction_again_is_200_with_the_first_position_and_409_with_other_content(
    api: httpx.AsyncClient,
) -> None:
    first = await api.post("/v1/interactions", json=interaction(external_id="call-93"))

    again = await api.post("/v1/interactions", json=interaction(external_id="call-93"))
    other = await api.post("/v1/interactions", json=interaction(external_id="call-93", agent="agent-17"))

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == {**first.json(), "created": False}
    assert other.json()["code"] == "interaction_conflict"


async def test_a_key_makes_the_retry_of_an_interaction_without_external_id_safe(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "call-93"}
    first = await api.post("/v1/interactions", json=interaction(), headers=key)

    again = await api.post("/v1/interactions", json=interaction(), headers=key)
    other = await api.post("/v1/interactions", json=interaction(direction="outbound"), headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        (money(29.33), "/total/amount", "decimal_text"),
        (money("1e3"), "/total/amount", "decimal_text"),
        (money("NaN"), "/total/amount", "decimal_text"),
        (money("1_000"), "/total/amount", "decimal_text"),
        (money("١"), "/total/amount", "decimal_text"),
        (money("1" * 19), "/total/amount", "decimal_text"),
        (money("0.0000001"), "/total/amount", "decimal_text"),
        (money("-1"), "/total/amount", "negative_amount"),
        ({"total": {"amount": "1", "currency": "usd"}}, "/total/currency", "unknown_currency"),
        ({"total": {"amount": "1", "currency": "XXX"}}, "/total/currency", "unknown_currency"),
        (line(quantity=0), "/lines/0/quantity", "greater_than_equal"),
        (line(quantity=1_000_000_001), "/lines/0/quantity", "less_than_equal"),
        (line(quantity=True), "/lines/0/quantity", "int_type"),
        (line(quantity="2"), "/lines/0/quantity", "int_type"),
        (line(sku="a\u0000b"), "/lines/0/sku", "control_character"),
        (line(unit_price={"amount": "14.66", "currency": "USD"}), "/lines", "lines_do_not_add_up"),
        (
            line(unit_price={"amount": "14.665", "currency": "VND"}),
            "/lines/0/unit_price/currency",
            "currency_mismatch",
        ),
        ({"lines": [{"sku": "cd", "quantity": 1}] * 201}, "/lines", "too_long"),
        ({"occurred_at": "1997-01-18T10:30:00"}, "/occurred_at", "timezone_aware"),
        ({"occurred_at": 853558200}, "/occurred_at", "time_text"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "/occurred_at", "in_the_future"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at", "too_long_ago"),
        ({"customer_id": "lan"}, "/customer_id", "uuid_parsing"),
        ({"customer_id": None}, "/customer_id", "customer_id_missing"),
        ({"customer_id": "00000000-0000-0000-0000-000000000000"}, "/customer_id", "nil_customer_id"),
        ({"order_id": " "}, "/order_id", "blank"),
        ({"order_id": ""}, "/order_id", "string_too_short"),
        ({"orderid": "1"}, "/orderid", "extra_forbidden"),
    ],
)
async def test_a_purchase_that_makes_no_sense_is_refused_naming_the_field(
    api: httpx.AsyncClient, change: dict[str, Any], field: str, code: str
) -> None:
    response = await api.post("/v1/purchases", json=purchase(**change))

    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    assert [(one["field"], one["code"]) for one in response.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("written", "meant"), [("gbp", "GBP"), ("VNĐ", "VND"), ("vnd", "VND"), ("đ", "VND"), ("€", "EUR"), ("$", "three")]
)
async def test_a_currency_written_in_another_way_is_refused_with_the_code_that_is_meant(
    api: httpx.AsyncClient, written: str, meant: str
) -> None:
    response = await api.post("/v1/purchases", json=purchase(total={"amount": "1", "currency": written}))

    [error] = response.json()["errors"]
    assert (response.status_code, error["code"]) == (422, "unknown_currency")
    assert f"{written!r} is not a currency code of ISO 4217: write {meant}" in error["message"]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"customer_id": None}, "/customer_id", "customer_id_missing"),
        ({"direction": "sideways"}, "/direction", "literal_error"),
        ({"channel": "Phone call"}, "/channel", "string_pattern_mismatch"),
        ({"body": "x" * 30_001}, "/body", "string_too_long"),
        ({"attributes": {"x": 2**53}}, "/attributes/x", "not_a_scalar"),
        ({"attributes": {"x": -1e300}}, "/attributes/x", "not_a_scalar"),
        ({"attributes": {"x": None}}, "/attributes/x", "not_a_scalar"),
        ({"attributes": {"x": {"y": 1}}}, "/attributes/x", "not_a_scalar"),
        ({"attributes": {"x": "y" * 1_001}}, "/attributes/x", "not_a_scalar"),
        ({"attributes": {"A/b": 1}}, "/attributes/A~1b", "string_pattern_mismatch"),
    ],
)
async def test_an_interaction_that_makes_no_sense_is_refused_naming_the_field(
    api: httpx.AsyncClient, change: dict[str, Any], field: str, code: str
) -> None:
    response = await api.post("/v1/interactions", json=interaction(**change))

    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    assert [(one["field"], one["code"]) for one in response.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize("cursor", ["xx", "W10", "WzEsMl0", "WzEwMDAwMDAwMDAwMDAwMDAwMCwiYSJd", "é"])
async def test_a_cursor_that_was_not_given_out_is_refused(api: httpx.AsyncClient, cursor: str) -> None:
    response = await api.get(f"/v1/customers/{CUSTOMER}/activities", params={"cursor": cursor})

    assert response.status_code == 422
    assert [(one["field"], one["code"]) for one in response.json()["errors"]] == [("?cursor", "malformed_cursor")]


async def test_a_customer_without_activities_has_an_empty_page(api: httpx.AsyncClient) -> None:
    response = await api.get(f"/v1/customers/{UUID(int=1)}/activities")

    assert (response.status_code, response.json()) == (200, {"items": [], "next_cursor": None})
