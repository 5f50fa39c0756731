"""What contacts refuses over HTTP: each value at its place, with the way out."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from contacts_service.main import DEFINITION

LAN = {"type": "email", "value": "lan@example.com"}


@pytest_asyncio.fixture
async def api(launch: Callable[..., Awaitable[Any]]) -> httpx.AsyncClient:
    """The interface without relay and projections: for what needs the event store alone."""
    client: httpx.AsyncClient = (await launch(DEFINITION, roles=("api",))).client
    return client


async def identify(api: httpx.AsyncClient, **members: Any) -> httpx.Response:
    body = {"source": "webshop", "identifiers": [LAN], **members}
    return await api.post("/v1/customers/identify", json=body)


def phone(value: str, region: str = "VN") -> dict[str, Any]:
    return {"identifiers": [LAN, {"type": "phone", "value": value, "region": region}]}


def errors(response: httpx.Response) -> list[tuple[str, str]]:
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    return [(one["field"], one["code"]) for one in response.json()["errors"]]


@pytest.mark.parametrize(
    ("members", "field", "code"),
    [
        (phone("024 3825 5555 ext. 12"), "/identifiers/1/value", "phone_with_extension"),
        (phone("1900 1234"), "/identifiers/1/value", "phone_not_personal"),
        (phone("113"), "/identifiers/1/value", "phone_not_personal"),
        (phone("0903 548 333", "vn"), "/identifiers/1/region", "unknown_region"),
        (phone("0903 548 333", "XX"), "/identifiers/1/region", "unknown_region"),
        ({"profile": {"name": " "}}, "/profile/name", "blank"),
        ({"profile": {"income": "-1"}}, "/profile/income", "negative"),
        ({"profile": {"birth_date": "08/03/1988"}}, "/profile/birth_date", "date_text"),
        ({"profile": {"address": {"country": "Vietnam"}}}, "/profile/address/country", "unknown_country"),
        ({"tags": ["a/b"]}, "/tags/0", "tag_characters"),
        (
            {"profile": {"kind": "organisation", "birth_date": "1988-03-08"}},
            "/profile/birth_date",
            "birth_date_of_organisation",
        ),
    ],
)
async def test_a_customer_that_makes_no_sense_is_refused_naming_the_field(
    api: httpx.AsyncClient, members: dict[str, Any], field: str, code: str
) -> None:
    assert errors(await identify(api, **members)) == [(field, code)]


async def test_a_line_of_an_import_is_refused_as_a_request_is(api: httpx.AsyncClient) -> None:
    line = {"source": "webshop", **phone("1900 1234")}

    response = await api.post(
        "/v1/customers/import", content=orjson.dumps(line), headers={"content-type": "application/x-ndjson"}
    )

    [error] = orjson.loads(response.content)["error"]["errors"]
    assert (error["field"], error["code"]) == ("/identifiers/1/value", "phone_not_personal")


async def test_a_birth_date_of_a_known_organisation_is_refused_and_stores_nothing(api: httpx.AsyncClient) -> None:
    # Given an organisation
    acme = (await identify(api, profile={"kind": "organisation"})).json()
    path = f"/v1/customers/{acme['customer_id']}"

    # When a patch and another source give it a birth date
    born = {"profile": {"birth_date": "1988-03-08"}}
    patched = await api.patch(path, json=born)
    seen = await identify(api, **born)

    # Then both are refused, and the customer is as before
    assert errors(patched) == errors(seen) == [("/profile/birth_date", "birth_date_of_organisation")]
    unchanged = await api.patch(path, json={"profile": {"kind": "organisation"}})
    assert (unchanged.json()["changed"], unchanged.json()["position"]) == ([], acme["position"])


async def test_a_tag_is_the_same_in_every_spelling(api: httpx.AsyncClient) -> None:
    lan = (await identify(api, tags=["VIP"])).json()["customer_id"]

    again = (await api.put(f"/v1/customers/{lan}/tags/vip")).json()
    off = (await api.delete(f"/v1/customers/{lan}/tags/Vip")).json()
    gone = (await api.delete(f"/v1/customers/{lan}/tags/VIP")).json()

    assert (again["changed"], off["changed"], gone["changed"]) == (False, True, False)
