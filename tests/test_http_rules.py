"""What every endpoint of every service refuses, and how: problem details with stable codes that name the field."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from contacts_service.main import DEFINITION as CONTACTS
from crm_shared.queries import write_cursor
from customer360_service.main import DEFINITION as CUSTOMER360
from feedback_service.main import DEFINITION as FEEDBACK
from interactions_service.main import DEFINITION as INTERACTIONS
from segmentation_service.main import DEFINITION as SEGMENTATION

CUSTOMER = "00000000-0000-4000-8000-000000000001"
PURCHASE = {
    "customer_id": CUSTOMER,
    "system": "webshop",
    "order_id": "1",
    "occurred_at": "2026-01-01T00:00:00Z",
    "total": {"amount": "10.00", "currency": "VND"},
}
IDENTIFY = {"source": "webshop", "identifiers": [{"type": "email", "value": "lan@example.com"}]}

# One command of each service that takes JSON: definition, method, path, a valid body.
COMMANDS = [
    pytest.param(CONTACTS, "POST", "/v1/customers/identify", IDENTIFY, id="contacts"),
    pytest.param(INTERACTIONS, "POST", "/v1/purchases", PURCHASE, id="interactions"),
    pytest.param(
        SEGMENTATION,
        "PUT",
        "/v1/segments/big",
        {"name": "Big", "condition": {"field": "purchases.count", "op": "gte", "value": 2}},
        id="segmentation",
    ),
    pytest.param(
        FEEDBACK,
        "PUT",
        "/v1/surveys/nps",
        {"title": "NPS", "questions": [{"key": "nps", "kind": "nps", "prompt": "How likely?"}]},
        id="feedback",
    ),
]
JSON = {"content-type": "application/json"}
Api = Callable[[Any], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def api(launch: Any) -> Api:
    """A service's HTTP interface without relay and projections."""

    async def client(definition: Any) -> httpx.AsyncClient:
        found: httpx.AsyncClient = (await launch(definition, roles=("api",))).client
        return found

    return client


def valid_but_other(body: dict[str, Any]) -> dict[str, Any]:
    """A body that the endpoint would take as well."""
    name = next(name for name in ("source", "order_id", "name", "title") if name in body)
    return {**body, name: "other"}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, once it is seen to be one."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"/problems/{code}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize(("definition", "method", "path", "body"), COMMANDS)
async def test_bodies_that_are_not_json_objects_of_this_kind_are_refused(
    api: Api, definition: Any, method: str, path: str, body: dict[str, Any]
) -> None:
    client = await api(definition)

    async def send(content: bytes, headers: dict[str, str] = JSON) -> httpx.Response:
        return await client.request(method, path, content=content, headers=headers)

    refused(await send(b"{"), 400, "malformed_json")
    refused(await send(b'{"a": NaN}'), 400, "malformed_json")
    refused(await send(b'{"a": Infinity}'), 400, "malformed_json")
    refused(await send(b'{"a": 1e999}'), 400, "malformed_json")
    refused(await send(b'{"a": "\xff\xfe"}'), 400, "invalid_utf8")
    refused(await send(b"{}", {"content-type": "text/plain"}), 415, "unsupported_media_type")
    refused(await send(b"{}", {}), 415, "unsupported_media_type")
    refused(await send(b'{"a": "' + b"x" * 300_000 + b'"}'), 413, "payload_too_large")
    name = next(iter(body))
    twice = json.dumps(body)[:-1] + f', "{name}": {json.dumps(body[name])}}}'
    document = refused(await send(twice.encode()), 400, "duplicate_key")
    assert [error["field"] for error in document["errors"]] == [f"/{name}"]
    refused(await send(b"[]"), 422, "validation_failed")
    refused(await send(b"{}"), 422, "validation_failed")


@pytest.mark.parametrize(("definition", "method", "path", "body"), COMMANDS)
async def test_a_misspelt_field_is_refused_by_its_name(
    api: Api, definition: Any, method: str, path: str, body: dict[str, Any]
) -> None:
    client = await api(definition)

    document = refused(await client.request(method, path, json={**body, "misspelt": 1}), 422, "validation_failed")

    assert [error["field"] for error in document["errors"]] == ["/misspelt"]
    assert f"there are {next(iter(body))}" in document["errors"][0]["message"]


@pytest.mark.parametrize(("definition", "method", "path", "body"), COMMANDS)
async def test_a_retry_with_the_same_key_gets_the_first_answer_and_another_request_is_refused(
    api: Api, definition: Any, method: str, path: str, body: dict[str, Any]
) -> None:
    client = await api(definition)
    key = {"Idempotency-Key": "retry-1"}

    first = await client.request(method, path, json=body, headers=key)
    again = await client.request(method, path, json=body, headers=key)
    other = await client.request(method, path, json=valid_but_other(body), headers=key)

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.json()["position"] > 0
    refused(other, 422, "idempotency_key_reused")


@pytest.mark.parametrize(("definition", "method", "path", "body"), COMMANDS)
@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Actor-Id", "X-Correlation-Id", "X-Causation-Id"])
async def test_a_header_that_is_no_opaque_id_is_refused_by_name(
    api: Api, definition: Any, method: str, path: str, body: dict[str, Any], header: str
) -> None:
    client = await api(definition)

    for value in ("two words", "", "x" * 201):
        document = refused(
            await client.request(method, path, json=body, headers={header: value}), 422, "validation_failed"
        )

        assert [(error["field"], error["code"]) for error in document["errors"]] == [
            (f"header:{header}", "malformed_header")
        ]


@pytest.mark.parametrize("definition", [CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK], ids=lambda one: one.service)
async def test_openapi_names_the_headers_of_every_command_and_of_nothing_else(api: Api, definition: Any) -> None:
    document = (await (await api(definition)).get("/openapi.json")).json()

    headers = ["idempotency-key", "traceparent", "x-actor-id", "x-causation-id", "x-correlation-id"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = sorted(one["name"] for one in operation.get("parameters", ()) if one["in"] == "header")
            command = method != "get" and not path.startswith("/v1/operations/") and not path.endswith("/preview")
            assert named == (headers if command else []), (method, path)


@pytest.mark.parametrize("definition", [CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK], ids=lambda one: one.service)
async def test_unknown_paths_methods_and_schemas_are_problems_too(api: Api, definition: Any) -> None:
    client = await api(definition)

    refused(await client.get("/v1/nothing/here"), 404, "not_found")
    refused(await client.delete("/healthz"), 405, "method_not_allowed")
    refused(await client.get("/schemas/contacts/Nothing/1.0.json"), 404, "not_found")
    schema = await client.get("/schemas/contacts/CustomerIdentified/1.0.json")
    assert schema.json()["title"] == "CustomerIdentified"


@pytest.mark.parametrize(
    "definition", [CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK, CUSTOMER360], ids=lambda one: one.service
)
async def test_every_endpoint_refuses_a_query_parameter_that_it_does_not_have(api: Api, definition: Any) -> None:
    client = await api(definition)
    paths = (await client.get("/openapi.json")).json()["paths"]

    for path, operations in paths.items():
        for method, operation in operations.items():
            if path in ("/healthz", "/readyz", "/metrics"):
                continue
            for name in ("verbose", "Limit", "cursr"):
                answer = await client.request(method, re.sub("{[a-z_]+}", "x", path), params={name: "1"})

                document = refused(answer, 422, "validation_failed")
                [error] = document["errors"]
                assert (error["field"], error["code"]) == (f"?{name}", "unknown_parameter"), (method, path)
                own = sorted(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")
                assert error["message"].endswith(f"there are {', '.join(own)}" if own else "it takes none")
                if "cursor" in own:
                    assert name != "cursr" or "did you mean `cursor`?" in error["message"]


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        (INTERACTIONS, f"/v1/customers/{CUSTOMER}/activities"),
        (SEGMENTATION, "/v1/segments"),
        (FEEDBACK, "/v1/surveys"),
        (CUSTOMER360, "/v1/customers"),
        (CUSTOMER360, "/v1/customers?identified=false"),
        (CUSTOMER360, f"/v1/customers/{CUSTOMER}/timeline"),
    ],
    ids=lambda one: getattr(one, "service", ""),
)
async def test_a_cursor_of_another_list_is_refused(api: Api, definition: Any, path: str) -> None:
    client = await api(definition)

    for cursor, code in ((write_cursor("a", of=("another",)), "foreign_cursor"), ("abc", "malformed_cursor")):
        answer = await client.get(f"{path}{'&' if '?' in path else '?'}cursor={cursor}")
        document = refused(answer, 422, "validation_failed")
        assert [(error["field"], error["code"]) for error in document["errors"]] == [("?cursor", code)]


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        (CONTACTS, f"/v1/customers/{CUSTOMER}"),
        (INTERACTIONS, f"/v1/customers/{CUSTOMER}/activities"),
        (SEGMENTATION, "/v1/segments"),
        (FEEDBACK, "/v1/surveys"),
    ],
    ids=lambda one: getattr(one, "service", ""),
)
async def test_a_query_refuses_a_position_it_cannot_read(api: Api, definition: Any, path: str) -> None:
    client = await api(definition)

    for position in ("5", "contacts:", "contacts:-1", "contacts:1e3", "con tacts:1"):
        document = refused(await client.get(path, params={"after": position}), 422, "validation_failed")
        assert document["errors"][0]["field"] == "?after"


@pytest.mark.slow
async def test_a_query_gives_up_on_a_position_that_does_not_come(api: Api) -> None:
    client = await api(CONTACTS)

    answer = await client.get(f"/v1/customers/{CUSTOMER}", params={"after": "contacts:999999"})

    refused(answer, 503, "position_not_reached")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"customer_id": "me"}, "/customer_id", "uuid_parsing"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "/occurred_at", "timezone_aware"),
        ({"occurred_at": "2926-01-01T00:00:00Z"}, "/occurred_at", "in_the_future"),
        ({"total": {"amount": "1" * 40, "currency": "VND"}}, "/total/amount", None),
        ({"total": {"amount": 12.3, "currency": "VND"}}, "/total/amount", "decimal_text"),
        ({"total": {"amount": "NaN", "currency": "VND"}}, "/total/amount", "decimal_text"),
        ({"total": {"amount": "1e6", "currency": "VND"}}, "/total/amount", "decimal_text"),
        ({"total": {"amount": "10", "currency": "dong"}}, "/total/currency", None),
        ({"lines": [{"sku": "a", "quantity": 10**30}]}, "/lines/0/quantity", None),
    ],
)
async def test_a_purchase_with_an_implausible_value_is_refused_by_field(
    api: Api, changes: dict[str, Any], field: str, code: str | None
) -> None:
    client = await api(INTERACTIONS)

    document = refused(await client.post("/v1/purchases", json={**PURCHASE, **changes}), 422, "validation_failed")

    assert document["errors"][0]["field"] == field
    assert code is None or document["errors"][0]["code"] == code


@pytest.mark.parametrize("path", ["/v1/segments/large", "/v1/segments/preview"])
async def test_a_condition_with_a_thousand_leaves_is_refused_by_their_number(api: Api, path: str) -> None:
    client = await api(SEGMENTATION)
    leaf = {"field": "purchases.revenue", "op": "gte", "value": {"amount": "1000.00", "currency": "VND"}}
    body = {"condition": {"any": [leaf] * 1000}} | ({} if path.endswith("preview") else {"name": "Large"})

    answer = await client.request("POST" if path.endswith("preview") else "PUT", path, json=body)

    document = refused(answer, 422, "validation_failed")
    assert [(error["field"], error["code"]) for error in document["errors"]] == [("/condition", "too_many_leaves")]
    assert "1000" in document["errors"][0]["message"]


async def test_lines_that_do_not_add_up_and_orders_that_changed_are_refused(api: Api) -> None:
    client = await api(INTERACTIONS)
    line = {"sku": "cd", "quantity": 3, "unit_price": {"amount": "5.00", "currency": "VND"}}

    wrong = await client.post("/v1/purchases", json={**PURCHASE, "lines": [line]})
    first = await client.post("/v1/purchases", json=PURCHASE)
    same = await client.post("/v1/purchases", json=PURCHASE)
    other = await client.post("/v1/purchases", json={**PURCHASE, "total": {"amount": "11.00", "currency": "VND"}})

    assert wrong.status_code == 422
    assert (first.status_code, same.status_code) == (201, 200)
    assert same.json() == {**first.json(), "created": False}
    refused(other, 409, "purchase_conflict")


async def test_an_import_of_ten_thousand_lines_answers_each_and_keeps_every_good_one(api: Api) -> None:
    client = await api(CONTACTS)
    bad = [
        b"{",
        b'{"source": "webshop"}',
        b'{"source": "x", "identifiers": [{"type": "email", "value": "no"}]}',
        b"\xff",
        b'{"source": "webshop", "source": "webshop"}',
    ]
    lines = [
        bad[number % len(bad)]
        if number % 3 == 0
        else b'{"source": "webshop", "identifiers": [{"type": "external", "system": "shop", "value": "%d"}]}' % number
        for number in range(1, 10_001)
    ]

    answer = await client.post(
        "/v1/customers/import", content=b"\n".join(lines), headers={"content-type": "application/x-ndjson"}
    )

    said = [httpx.Response(200, content=line).json() for line in answer.content.splitlines()]
    assert answer.status_code == 200
    assert [one["line"] for one in said] == list(range(1, 10_001))
    assert {one["line"] for one in said if "error" in one} == set(range(3, 10_001, 3))
    assert {one["error"]["code"] for one in said if "error" in one} == {
        "malformed_json",
        "validation_failed",
        "invalid_utf8",
        "duplicate_key",
    }
    assert all(one["created"] for one in said if "error" not in one)


async def test_an_import_takes_only_ndjson(api: Api) -> None:
    client = await api(CONTACTS)

    answer = await client.post("/v1/customers/import", content=b"{}", headers=JSON)

    refused(answer, 415, "unsupported_media_type")
