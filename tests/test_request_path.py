"""The way of a fact through running processes: from each service's HTTP interface over Kafka to the customer 360."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from relata_local.services import SERVICES
from relata_local.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services as processes of their own, on embedded servers of their own."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def clients(stack: Stack) -> Iterator[dict[str, httpx.Client]]:
    found = {name: httpx.Client(base_url=stack.url(name), timeout=30) for name in SERVICES}
    yield found
    for client in found.values():
        client.close()


def call(client: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The JSON answer; a view that is still catching up on a loaded machine is asked again."""
    for _ in range(6):
        answer = client.request(method, path, **request)
        if answer.status_code != 503:
            break
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what follows in the background."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)


def identify(clients: dict[str, httpx.Client], **more: Any) -> dict[str, Any]:
    email = f"{uuid.uuid4().hex}@example.com"
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": email}], **more}
    return {**call(clients["contacts"], "POST", "/v1/customers/identify", json=body), "email": email}


def purchase(clients: dict[str, httpx.Client], customer_id: str, amount: str) -> dict[str, Any]:
    body = {
        "customer_id": customer_id,
        "system": "webshop",
        "order_id": uuid.uuid4().hex,
        "occurred_at": "2026-03-08T09:00:00+07:00",
        "total": {"amount": amount, "currency": "VND"},
    }
    return call(clients["interactions"], "POST", "/v1/purchases", json=body)


def see(clients: dict[str, httpx.Client], customer_id: str, *after: str) -> dict[str, Any]:
    return call(clients["customer360"], "GET", f"/v1/customers/{customer_id}", params={"after": list(after)})


def test_what_each_service_records_of_a_customer_arrives_in_the_360(clients: dict[str, httpx.Client]) -> None:
    key = f"s{uuid.uuid4().hex[:8]}"
    defined = call(
        clients["segmentation"],
        "PUT",
        f"/v1/segments/{key}",
        json={"name": "Buyers", "condition": {"field": "purchases.revenue.VND", "op": "gte", "value": "500000"}},
    )
    question = {"key": "recommend", "kind": "nps", "prompt": "Bạn có giới thiệu chúng tôi không?", "required": True}
    call(clients["feedback"], "PUT", f"/v1/surveys/{key}", json={"title": "NPS", "questions": [question]})

    customer = identify(clients, profile={"name": "Nguyễn Thị Lan"}, tags=["vip"])
    customer_id = customer["customer_id"]
    bought = purchase(clients, customer_id, "600000")
    logged = call(
        clients["interactions"],
        "POST",
        "/v1/interactions",
        json={
            "customer_id": customer_id,
            "channel": "phone",
            "direction": "inbound",
            "subject": "Giao hàng",
            "occurred_at": "2026-03-09T02:00:00Z",
        },
    )
    answered = call(
        clients["feedback"],
        "POST",
        f"/v1/surveys/{key}/answers",
        json={"customer_id": customer_id, "answers": {"recommend": 9}},
    )

    seen = see(
        clients,
        customer_id,
        f"contacts:{customer['position']}",
        f"interactions:{max(bought['position'], logged['position'])}",
        f"feedback:{answered['position']}",
    )
    assert seen["identified"]
    assert seen["profile"]["name"] == "Nguyễn Thị Lan"
    assert seen["purchases"]["revenue"] == {"VND": "600000"}
    assert seen["interactions"]["count"] == 1
    assert seen["feedback"]["nps"] == 9

    def why() -> dict[str, Any]:
        return call(
            clients["segmentation"],
            "GET",
            f"/v1/segments/{key}/customers/{customer_id}",
            params={"after": [f"segmentation:{defined['position']}", f"interactions:{bought['position']}"]},
        )

    # Whoever had bought before the definition was taken up is evaluated in the background.
    eventually(lambda: why()["member"])
    assert why()["why"]["actual"] == "600000"

    eventually(lambda: [one["key"] for one in see(clients, customer_id)["segments"]] == [key])
    timeline = call(clients["customer360"], "GET", f"/v1/customers/{customer_id}/timeline")
    assert {one["type"] for one in timeline["items"]} == {
        "CustomerIdentified",
        "PurchaseRecorded",
        "InteractionLogged",
        "SurveyAnswered",
        "CustomerEnteredSegment",
    }


def test_every_service_reads_its_own_writes_at_the_position_of_a_command(clients: dict[str, httpx.Client]) -> None:
    customer = identify(clients)
    bought = purchase(clients, customer["customer_id"], "1")

    own = call(
        clients["contacts"],
        "GET",
        f"/v1/customers/{customer['customer_id']}",
        params={"after": f"contacts:{customer['position']}"},
    )
    activity = call(
        clients["interactions"],
        "GET",
        f"/v1/purchases/{bought['purchase_id']}",
        params={"after": f"interactions:{bought['position']}"},
    )

    assert own["identifiers"] == [{"type": "email", "value": customer["email"], "system": None}]
    assert activity["total"] == {"amount": "1", "currency": "VND"}


def test_a_purchase_before_its_customer_is_announced_waits_apart_and_joins_later(
    clients: dict[str, httpx.Client],
) -> None:
    stranger = str(uuid.uuid4())
    bought = purchase(clients, stranger, "5")

    seen = see(clients, stranger, f"interactions:{bought['position']}")
    unidentified = call(clients["customer360"], "GET", "/v1/customers", params={"identified": "false", "limit": 500})

    assert not seen["identified"]
    assert seen["purchases"]["count"] == 1
    assert stranger in [one["customer_id"] for one in unidentified["items"]]


def test_a_customer_is_found_by_any_identifier_and_by_a_name_without_accents(
    clients: dict[str, httpx.Client],
) -> None:
    name = f"Đặng {uuid.uuid4().hex[:8]} Thảo"
    customer = identify(clients, profile={"name": name})
    see(clients, customer["customer_id"], f"contacts:{customer['position']}")

    by_email = call(clients["customer360"], "GET", "/v1/customers", params={"identifier": f"email:{customer['email']}"})
    by_name = call(clients["customer360"], "GET", "/v1/customers", params={"q": f"dang {name.split()[1]}"})

    assert [one["customer_id"] for one in by_email["items"]] == [customer["customer_id"]]
    assert [one["customer_id"] for one in by_name["items"]] == [customer["customer_id"]]


def test_kpis_of_a_period_count_what_was_recorded_in_it(clients: dict[str, httpx.Client]) -> None:
    customer = identify(clients)
    period = {"from": "2001-01-01T00:00:00Z", "to": "2002-01-01T00:00:00Z"}
    body = {
        "customer_id": customer["customer_id"],
        "system": "webshop",
        "occurred_at": "2001-05-01T00:00:00Z",
        "total": {"amount": "10.10", "currency": "USD"},
    }
    for number in range(2):
        bought = call(clients["interactions"], "POST", "/v1/purchases", json={**body, "order_id": f"kpi-{number}"})

    kpis = call(
        clients["customer360"], "GET", "/v1/kpis", params={**period, "after": f"interactions:{bought['position']}"}
    )

    assert kpis["purchases"] == 2
    assert kpis["revenue"] == {"USD": "20.20"}
    assert kpis["purchasing_customers"] == 1


def test_every_service_says_how_it_is(clients: dict[str, httpx.Client]) -> None:
    for name, client in clients.items():
        assert client.get("/healthz").json() == {"status": "alive"}
        assert call(client, "GET", "/readyz")["ready"], name
        assert "relata_http_requests_total" in client.get("/metrics").text
        assert client.get("/openapi.json").json()["info"]["title"] == f"Relata {name}"
        assert client.get("/docs").status_code == 200
        status = call(client, "GET", "/v1/operations/status")
        assert status["service"] == name


async def test_the_documented_subscriber_receives_events(stack: Stack, project_root: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        str(project_root / "examples" / "plain_subscriber.py"),
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": stack.servers.kafka_bootstrap},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
    finally:
        process.terminate()
        await process.wait()

    assert "crm." in line


def test_everything_restarted_keeps_all_and_doubles_nothing(stack: Stack, clients: dict[str, httpx.Client]) -> None:
    customer = identify(clients)
    bought = purchase(clients, customer["customer_id"], "7")
    after = (f"contacts:{customer['position']}", f"interactions:{bought['position']}")
    before = see(clients, customer["customer_id"], *after)

    # The broker comes back empty: the relays publish the whole history again.
    stack.servers.broker.restart()
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda name: stack.services[name].restart(), SERVICES))
    again = purchase(clients, customer["customer_id"], "8")

    seen = see(clients, customer["customer_id"], *after, f"interactions:{again['position']}")
    assert before["purchases"]["count"] == 1
    assert seen["purchases"]["count"] == 2
    assert seen["purchases"]["revenue"] == {"VND": "15"}
    timeline = call(clients["customer360"], "GET", f"/v1/customers/{customer['customer_id']}/timeline")
    bought_twice = [one["event_id"] for one in timeline["items"] if one["type"] == "PurchaseRecorded"]
    assert len(bought_twice) == len(set(bought_twice)) == 2
