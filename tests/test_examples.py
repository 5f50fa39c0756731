"""What an integrator copies runs as its header says: against a broker and a service that are real."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.publication import Publication

from crm_contracts.events.contacts import CustomerState, CustomerTagged, Profile
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.types import Money
from crm_shared.http.app import create_app
from crm_shared.kafka import Topic
from crm_shared.settings import Settings
from interactions_service.main import DEFINITION as INTERACTIONS
from relata_local.ports import HOST, free_port
from relata_local.servers import EmbeddedServers

EXAMPLES = Path(__file__).parents[1] / "examples"
KHAI, LAN = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e", "00000000-0000-4000-8000-000000000002"


@pytest_asyncio.fixture
async def relay(broker: EmbeddedServers, settings_for: Callable[[str], Settings]) -> AsyncIterator[Publication]:
    async with Publication(settings_for("contacts")) as publication:
        topics = ("crm.contacts.events.v1", "crm.interactions.events.v1", "my-loyalty-system.dlq")
        await publication.create(*map(Topic, topics), Topic("crm.contacts.state.v1", compacted=True))
        yield publication


@contextlib.asynccontextmanager
async def running(example: str, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example as a process, which is ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / example), *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def lines(process: asyncio.subprocess.Process, count: int, start: str = "") -> list[str]:
    """The first lines that it prints with this start; FastStream logs to the same place."""
    assert process.stdout is not None
    assert process.stderr is not None
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            if not (line := await process.stdout.readline()):
                raise AssertionError((await process.stderr.read()).decode())
            if line.startswith(start.encode()):
                found.append(line.decode().rstrip("\n"))
    return found


def tagged(tag: str, customer: str = KHAI) -> CustomerTagged:
    return CustomerTagged(customer_id=customer, tag=tag)


async def test_the_plain_subscriber_prints_each_event_once(relay: Publication) -> None:
    # given repetitions, watermarks and two customers
    for position, customer in ((1, KHAI), (3, KHAI), (1, KHAI), (3, KHAI), (2, LAN), (5, KHAI)):
        await relay.send(tagged(f"tag {position}", customer), position)
        await relay.watermark("contacts", position)
    async with running("plain_subscriber.py", KAFKA_BOOTSTRAP_SERVERS=relay.servers) as subscriber:
        printed = await lines(subscriber, 4)
        await relay.send(tagged("tag 6"), 6)
        printed += await lines(subscriber, 1)
    assert sorted(printed) == [
        f"crm.contacts.CustomerTagged.v1 2026-01-14T02:30:00Z {{'customer_id': '{customer}', 'tag': 'tag {position}'}}"
        for customer, position in ((LAN, 2), (KHAI, 1), (KHAI, 3), (KHAI, 5), (KHAI, 6))
    ]


async def test_the_faststream_subscriber_adds_up_each_purchase_once(relay: Publication) -> None:
    def purchase(order: str, amount: str) -> PurchaseRecorded:
        total = Money(amount=amount, currency="VND")
        return PurchaseRecorded(
            purchase_id=LAN, customer_id=KHAI, system="webshop", order_id=order, total=total, lines=[]
        )

    await relay.send(purchase("A1", "1250000"), 1)
    await relay.send(purchase("A1", "1250000"), 1)
    await relay.watermark("interactions", 1)
    await relay.send(purchase("A2", "0.50"), 2)
    logged = InteractionLogged(interaction_id=LAN, customer_id=KHAI, channel="phone", direction="inbound")
    await relay.send(logged, 3)
    async with running("faststream_subscriber.py", KAFKA_BOOTSTRAP_SERVERS=relay.servers) as application:
        assert await lines(application, 3, start=KHAI) == [
            f"{KHAI} has spent 1250000 VND",
            f"{KHAI} has spent 1250000.50 VND",
            f"{KHAI} was in touch by phone",
        ]


async def test_the_bootstrap_says_how_many_customers_there_are_and_goes_on(relay: Publication) -> None:
    for position, customer in ((1, KHAI), (2, LAN)):
        await relay.send(tagged("old", customer), position)
        state = CustomerState(customer_id=customer, identifiers=[], profile=Profile(), tags=["old"])
        await relay.send(state, position)
    await relay.watermark("contacts", 2)
    async with running("bootstrap.py", KAFKA_BOOTSTRAP_SERVERS=relay.servers) as copy:
        printed = await lines(copy, 1)
        await relay.send(tagged("new"), 3)
        printed += await lines(copy, 1)
    assert printed[0] == "there are 2 customers"
    assert "'tag': 'new'" in printed[1]


class Unreliable:
    """An application that answers the first request with 503, and breaks off its answer to the second."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.bodies: list[bytes] = []
        self.keys: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.bodies.append(b"")
        number = len(self.bodies)
        self.keys.add(dict(scope["headers"])[b"idempotency-key"])

        async def heard() -> Message:
            message = await receive()
            self.bodies[number - 1] += message.get("body", b"")
            return message

        async def said(message: Message) -> None:
            if number == 2 and message["type"] == "http.response.body":
                # Some whole lines of the answer, and then the connection is gone.
                part = b"".join(message["body"].splitlines(keepends=True)[:40])
                await send({**message, "body": part, "more_body": True})
                raise ConnectionError("the cable was pulled")
            await send(message)

        if number == 1:
            while (await heard()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
        else:
            await self.app(scope, heard, said)


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The application on a port of its own."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        await task


def order(number: int, total: str = "120000") -> str:
    return json.dumps(
        {
            "customer_id": KHAI,
            "system": "webshop",
            "order_id": f"A-{number}",
            "occurred_at": "2026-01-14T09:30:00+07:00",
            "total": {"amount": total, "currency": "VND"},
        }
    )


async def test_the_bulk_import_loses_nothing_doubles_nothing_and_names_what_was_refused(
    launch: Any, tmp_path: Path
) -> None:
    # given a file with two bad lines and a blank one, and a service that cannot be relied on
    interactions = await launch(INTERACTIONS, roles=("api",))
    app = create_app(INTERACTIONS.service, INTERACTIONS.description, INTERACTIONS.routers)
    app.state.runtime = interactions.runtime
    unreliable = Unreliable(app)
    rows = [order(number) for number in range(300)]
    rows[10], rows[20], rows[250] = order(10, "-1"), "", "{"
    file = tmp_path / "purchases.ndjson"
    file.write_text("\n".join(rows), encoding="utf-8")

    async def imported(url: str) -> list[str]:
        async with running("bulk_import.py", f"{url}/v1/purchases/import", str(file)) as process:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return out.decode().splitlines()

    # when it is imported
    async with served(unreliable) as url:
        *refused, told = await imported(url)
        sent = [sum(bool(line.strip()) for line in body.split(b"\n")) for body in unreliable.bodies]
        # then what was answered before the break is not sent again, under one key, and the rest is
        assert sent == [299, 299, 259]
        assert len(unreliable.keys) == 1
        assert [line.rpartition("/")[2].split(": ")[0] for line in refused] == [
            "purchases.ndjson:11",
            "purchases.ndjson:251",
        ]
        assert told == "297 lines are stored, 2 were refused"
        # and again nothing doubles
        assert (await imported(url))[-1] == told
    stored = await interactions.client.post(
        "/v1/purchases/import", content="\n".join(rows), headers={"Content-Type": "application/x-ndjson"}
    )
    answers = [json.loads(line) for line in stored.text.splitlines()]
    assert [answer for answer in answers if answer.get("created")] == []


async def test_the_bulk_import_gives_up_at_once_where_the_request_itself_is_wrong(launch: Any, tmp_path: Path) -> None:
    interactions = await launch(INTERACTIONS, roles=("api",))
    app = create_app(INTERACTIONS.service, INTERACTIONS.description, INTERACTIONS.routers)
    app.state.runtime = interactions.runtime
    file = tmp_path / "purchases.ndjson"
    file.write_text(order(1), encoding="utf-8")
    async with served(app) as url, running("bulk_import.py", f"{url}/v1/nothing/import", str(file)) as process:
        _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"/v1/nothing/import answers 404" in err


def test_every_example_says_how_to_run_it() -> None:
    for example in EXAMPLES.glob("*.py"):
        head = example.read_text(encoding="utf-8").split('"""')[1]
        assert "After `make up`: " in head
        assert f"examples/{example.name}" in head
