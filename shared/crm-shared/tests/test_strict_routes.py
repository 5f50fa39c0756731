"""What a route takes: its own query parameters once each, bodies up to its limit; and how it says what it refuses."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from crm_shared.http.app import api_router, create_app
from crm_shared.http.commands import json_response
from crm_shared.http.queries import AfterDep, Cursor, Limit


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: Annotated[str, Field(min_length=1, max_length=5)]
    quantity: Annotated[int, Field(ge=1, le=9, strict=True)] = 1


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    order_id: str
    customer_id: UUID | None = None
    channel: Literal["email", "phone"] | None = None
    day: date | None = None
    lines: Annotated[list[Line], Field(max_length=2)] = []
    first: Line | None = None
    by_name: dict[str, Line] = {}
    text: str | None = None


router = api_router()
large = api_router(body_limit=100_000)


@router.get("/v1/things")
async def things(
    after: AfterDep, since: Annotated[date | None, Query(alias="from")] = None, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    return json_response(200, {"after": after, "limit": limit})


@router.get("/v1/plain")
async def plain() -> Response:
    return json_response(200, {})


@router.put("/v1/orders")
async def all_orders() -> Response:
    return json_response(200, {})


@router.post("/v1/orders")
async def order(body: Order) -> Response:
    return json_response(200, {})


@large.post("/v1/large-orders")
async def large_order(body: Order) -> Response:
    return json_response(200, {})


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app("toys", "Toys", [router, large])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://toys") as opened:
        yield opened


def only_error(answer: httpx.Response) -> tuple[str, str, str]:
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    [error] = answer.json()["errors"]
    assert error["message"] in answer.json()["detail"]
    return error["field"], error["code"], error["message"]


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("cursr=x", "?cursr", "did you mean `cursor`? there are after, cursor, from, limit"),
        ("Limit=5", "?Limit", "did you mean `limit`?"),
        ("since=2026-01-01", "?since", "there are after, cursor, from, limit"),
        ("limit=5&afer=toys:1", "?afer", "did you mean `after`?"),
        ("x%0a=1", "?x\n", r"no query parameter 'x\n'"),
        ("flag", "?flag", "no query parameter 'flag'"),
    ],
)
async def test_an_unknown_query_parameter_is_refused_and_the_nearest_named(
    client: httpx.AsyncClient, query: str, field: str, says: str
) -> None:
    at, code, message = only_error(await client.get(f"/v1/things?{query}"))

    assert (at, code) == (field, "unknown_parameter")
    assert says in message


async def test_an_endpoint_without_parameters_says_that_it_takes_none(client: httpx.AsyncClient) -> None:
    at, code, message = only_error(await client.get("/v1/plain?limit=1"))

    assert (at, code) == ("?limit", "unknown_parameter")
    assert "takes none" in message


async def test_a_parameter_given_twice_is_refused_unless_it_takes_several(client: httpx.AsyncClient) -> None:
    several = await client.get("/v1/things?after=toys:1&after=tools:2&limit=5")
    twice = await client.get("/v1/things?limit=5&limit=5")

    assert several.json() == {"after": {"toys": 1, "tools": 2}, "limit": 5}
    assert only_error(twice)[:2] == ("?limit", "repeated_parameter")


async def test_a_known_parameter_with_another_value_than_it_takes_names_the_value(client: httpx.AsyncClient) -> None:
    assert only_error(await client.get("/v1/things?limit=many")) == (
        *("?limit", "int_parsing"),
        "write a whole number, not 'many'",
    )
    assert only_error(await client.get("/v1/things?limit=501"))[2] == "'501' is too large; write 500 or less"


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/docs", "/", "/openapi.json"])
async def test_probes_and_pages_do_not_mind_parameters(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, params={"probe": "1"})).status_code == 200


@pytest.mark.parametrize("path", ["/schemas", "/asyncapi.yaml", "/v1/operations/status", "/v1/operations/parked"])
async def test_operations_refuse_unknown_parameters_as_all_do(client: httpx.AsyncClient, path: str) -> None:
    assert only_error(await client.get(path, params={"verbose": "1"}))[:2] == ("?verbose", "unknown_parameter")


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"orderId": "1"}, "/orderId", "there is no field 'orderId' here; did you mean `order_id`?"),
        ({"surname": "1"}, "/surname", "there are order_id, customer_id, channel, day"),
        (
            {"lines": [{"sku": "1", "quantty": 1}]},
            "/lines/0/quantty",
            "did you mean `quantity`? there are sku, quantity",
        ),
        ({"first": {"sku": "1", "quantty": 1}}, "/first/quantty", "did you mean `quantity`?"),
        ({"by_name": {"x": {"sku": "1", "quantty": 1}}}, "/by_name/x/quantty", "did you mean `quantity`?"),
        ({"order_id": 5}, "/order_id", "write text, not 5"),
        ({"order_id": None}, "/order_id", "write text, not null"),
        ({"order_id": ["x"]}, "/order_id", "write text, not a list"),
        ({"text": {"x": 1}}, "/text", "write text, not an object"),
        ({"customer_id": "me"}, "/customer_id", "write a UUID, such as "),
        ({"customer_id": "me"}, "/customer_id", "not 'me'"),
        ({"channel": "e-mail"}, "/channel", "'e-mail' is not one of 'email' or 'phone'; did you mean 'email'?"),
        ({"channel": 7}, "/channel", "7 is not one of 'email' or 'phone'"),
        ({"day": "08/03/1988"}, "/day", "write a date, such as 1988-03-08, not '08/03/1988'"),
        ({"lines": "x"}, "/lines", "write a list, not 'x'"),
        ({"lines": ["x"]}, "/lines/0", "write an object, not 'x'"),
        ({"lines": [{"sku": ""}]}, "/lines/0/sku", "the text has 0 characters; write at least 1"),
        ({"lines": [{"sku": "123456"}]}, "/lines/0/sku", "the text has 6 characters; write at most 5"),
        ({"lines": [{}]}, "/lines/0/sku", "this is required"),
        ({"lines": [{"sku": "1", "quantity": 0}]}, "/lines/0/quantity", "0 is too small; write 1 or more"),
        ({"lines": [{"sku": "1", "quantity": 10}]}, "/lines/0/quantity", "10 is too large; write 9 or less"),
        ({"lines": [{"sku": "1", "quantity": "2"}]}, "/lines/0/quantity", "write a whole number, not '2'"),
        ({"lines": [{"sku": "1", "quantity": True}]}, "/lines/0/quantity", "write a whole number, not true"),
        ({"lines": [{"sku": "1"}] * 3}, "/lines", "there are 3; give at most 2"),
        ({"customer_id": "\u202e\x00" + "x" * 500}, "/customer_id", r"'\u202e\x00xxx"),
    ],
)
async def test_a_field_that_is_not_valid_is_named_with_its_value_and_the_way_out(
    client: httpx.AsyncClient, change: dict[str, Any], field: str, says: str
) -> None:
    at, _, message = only_error(await client.post("/v1/orders", json={"order_id": "1", **change}))

    assert at == field
    assert says in message
    assert len(message) < 250


async def test_several_invalid_fields_are_named_together(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/orders", json={"order_id": 1, "day": 2.5, "lines": 3, "first": 4})

    assert answer.json()["detail"] == "4 fields are not valid: /order_id, /day, /lines, ..."
    assert len(answer.json()["errors"]) == 4


async def test_a_body_that_is_no_object_is_refused_as_a_whole(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/orders", json=[1])

    assert only_error(answer) == ("", "model_attributes_type", "write an object, not a list")
    assert answer.json()["detail"].startswith("the body: ")


async def test_a_name_that_stands_twice_is_refused_before_anything_else(client: httpx.AsyncClient) -> None:
    raw = b'{"order_id": "1", "lines": [{"sku": "1", "sku": "2"}]}'

    answer = await client.post("/v1/orders", content=raw, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_key")
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [("/lines/0/sku", "duplicate_key")]


async def test_a_router_may_read_larger_bodies_than_others(client: httpx.AsyncClient) -> None:
    body = {"order_id": "1", "text": "x" * 50_000}

    assert (await client.post("/v1/orders", json=body)).json()["code"] == "payload_too_large"
    assert (await client.post("/v1/large-orders", json=body)).status_code == 200
    assert only_error(await client.post("/v1/large-orders", json={**body, "x": 1}))[0] == "/x"
    assert (await client.post("/v1/large-orders", json={"text": "x" * 100_000})).status_code == 413


async def test_a_path_and_a_method_that_there_is_not_are_refused_with_the_way_out(client: httpx.AsyncClient) -> None:
    nothing = await client.get("/v1/nothing")
    method = await client.delete("/v1/orders")

    assert (nothing.status_code, nothing.json()["detail"]) == (
        404,
        "there is nothing at this path; /docs shows what there is",
    )
    assert (method.status_code, method.headers["allow"]) == (405, "POST, PUT")
    assert method.json()["detail"] == "DELETE is not allowed here; use POST, PUT"
