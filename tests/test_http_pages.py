"""What every service shows beside its endpoints: a front page, /docs without the internet, schemas, AsyncAPI."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contacts_service.main import DEFINITION as CONTACTS
from crm_contracts.catalogue import all_event_types
from crm_contracts.schemas import committed
from crm_shared.http import pages
from customer360_service.main import DEFINITION as CUSTOMER360
from feedback_service.main import DEFINITION as FEEDBACK
from interactions_service.main import DEFINITION as INTERACTIONS
from segmentation_service.main import DEFINITION as SEGMENTATION

SERVICES = [CONTACTS, INTERACTIONS, SEGMENTATION, FEEDBACK, CUSTOMER360]
each_service = pytest.mark.parametrize("definition", SERVICES, ids=lambda one: one.service)
Api = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def api(launch: Any) -> Api:
    """A service's HTTP interface without relay and projections."""

    async def client(definition: Any, **settings: Any) -> httpx.AsyncClient:
        found: httpx.AsyncClient = (await launch(definition, roles=("api",), **settings)).client
        return found

    return client


def addresses(page: str) -> list[str]:
    """What a page loads or links to."""
    return re.findall(r"""(?:href=|src=|url: )["']([^"']*)""", page)


@each_service
async def test_the_front_page_says_what_the_service_is_and_every_link_on_it_leads_somewhere(
    api: Api, definition: Any
) -> None:
    client = await api(definition)

    page = await client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert definition.description in page.text
    assert "<script" not in page.text
    found = addresses(page.text)
    assert {"/docs", "/openapi.json", "/schemas", "/asyncapi.yaml", "/healthz", "/readyz", "/metrics"} < set(found)
    assert "/v1/operations/status" in found
    for address in found:
        assert (await client.get(address)).status_code == 200, address


@each_service
async def test_the_description_of_the_endpoints_works_without_the_internet(api: Api, definition: Any) -> None:
    client = await api(definition)

    page = (await client.get("/docs")).text

    assert "://" not in page
    assert '"validatorUrl": null' in page
    for address in addresses(page):
        answer = await client.get(address)
        assert answer.status_code == 200, address
        assert address == "/openapi.json" or "immutable" in answer.headers["cache-control"]
    assert "SwaggerUIBundle" in (await client.get(next(one for one in addresses(page) if one.endswith(".js")))).text


async def test_only_the_files_that_the_page_needs_are_served(api: Api) -> None:
    client = await api(INTERACTIONS)

    for name in ("README.md", "..%2Fpages.py", "%2e%2e/pages.py", "LICENSE"):
        answer = await client.get(f"/docs/swagger-ui-{pages.SWAGGER_UI}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_version_of_swagger_ui_is_the_one_that_its_folder_names(project_root: Path) -> None:
    folder = project_root / "shared" / "crm-shared" / "src" / "crm_shared" / "http" / "swagger_ui"

    assert (folder / "README.md").read_text().startswith(f"# Swagger UI {pages.SWAGGER_UI}\n")
    assert "Apache License" in (folder / "LICENSE").read_text()


@each_service
async def test_every_schema_is_served_at_its_own_id_with_the_committed_bytes(api: Api, definition: Any) -> None:
    client = await api(definition)

    items = (await client.get("/schemas")).json()["items"]

    files = {f"/schemas/{key.path}": content for key, content in committed().items()}
    assert [one["path"] for one in items] == list(files)
    for item in items:
        answer = await client.get(item["path"])
        assert (answer.status_code, answer.content) == (200, files[item["path"]])
        assert answer.headers["content-type"] == "application/schema+json"
        schema = answer.json()
        assert (schema["$id"], schema["title"]) == (item["path"], item["name"])
        assert item["path"] == f"/schemas/{item['service']}/{item['name']}/{item['version']}.json"
    assert {each.ce_type for each in all_event_types()} <= {one["type"] for one in items}


@each_service
async def test_asyncapi_describes_this_installation(api: Api, definition: Any) -> None:
    client = await api(definition, kafka_partitions=7, kafka_bootstrap_servers="kafka-1:9092,kafka-2:9092")

    answer = await client.get("/asyncapi.yaml")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/yaml")
    document = yaml.safe_load(answer.text)
    assert {one["bindings"]["kafka"]["partitions"] for one in document["channels"].values()} == {7}
    server = document["servers"]["kafka"]
    assert server["variables"]["bootstrap"]["default"] == "kafka-1:9092,kafka-2:9092"
    assert server["protocol"] == "kafka"
    served = {one["path"] for one in (await client.get("/schemas")).json()["items"]}
    assert {one["x-dataschema"] for one in document["components"]["messages"].values()} <= served
