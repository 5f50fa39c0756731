"""A network that is slow, silent or cut between the services and one store: clear answers meanwhile, nothing lost."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.faults.fleet import Fleet
from tests.faults.load import REQUEST_SECONDS, Load
from tests.faults.oracle import settled
from tests.faults.proxy import Proxy

from crm_shared.settings import Settings
from relata_local.broker import BrokerServer
from relata_local.ports import HOST

FAULT_SECONDS = 6.0
# Few, so that what has piled up meanwhile is small: how fast a view catches up is a matter of the machine.
WORKERS = 2
RESUMED_SECONDS = 10.0
READINESS_SECONDS = 15.0
STORES = ("postgres", "mongodb", "kafka")


class FarBroker(BrokerServer):
    """A broker that tells its clients to come through a proxy."""

    def __init__(self, data: Path, port: int) -> None:
        super().__init__(data, port)
        self.proxy = Proxy(port)

    @property
    def advertised(self) -> str:
        return f"{HOST}:{self.proxy.port}"


class FarFleet(Fleet):
    """A fleet whose services reach each store through a proxy, and whose owner reaches them directly."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, broker=FarBroker)
        assert isinstance(self.servers.broker, FarBroker)
        self.proxies = {
            "postgres": Proxy(self.servers.postgres.port),
            "mongodb": Proxy(self.servers.documents.port),
            "kafka": self.servers.broker.proxy,
        }

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            # The default, as other brokers have it: a cut ends before a group gives its member up.
            "KAFKA_SESSION_TIMEOUT_MS": "10000",
            "POSTGRES_PORT": str(self.proxies["postgres"].port),
            "MONGODB_URI": f"mongodb://{HOST}:{self.proxies['mongodb'].port}/?directConnection=true",
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.proxies['kafka'].port}",
        }

    def settings(self, service: str) -> Settings:
        environment = {name.lower(): value for name, value in self.servers.environment().items()}
        return Settings(**environment)  # type: ignore[arg-type]  # the model parses the text of environment variables

    def __enter__(self) -> "FarFleet":
        for proxy in self.proxies.values():
            proxy.__enter__()
        super().__enter__()
        return self

    def stop(self) -> None:
        super().stop()
        for proxy in self.proxies.values():
            proxy.__exit__(None, None, None)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarFleet]:
    with FarFleet(tmp_path_factory.mktemp("far")) as fleet:
        yield fleet


@pytest.fixture
def far(started: FarFleet) -> Iterator[FarFleet]:
    """The fleet with a good network, and again afterwards."""
    yield started
    for proxy in started.proxies.values():
        proxy.mend()


@pytest.mark.parametrize("store", STORES)
async def test_a_network_that_is_cut_slow_or_silent_resumes_within_ten_seconds_and_loses_nothing(
    far: FarFleet, store: str, count: int, tally: Callable[..., None]
) -> None:
    proxy = far.proxies[store]
    slowest = 0.0

    async with Load(far.url, seed=3, workers=WORKERS, most=2_000 * count) as load:
        await load.progress(20)
        for turn in range(count):
            proxy.cut()
            cut_at = time.monotonic()
            wrong = await not_ready(far)
            answers = await asyncio.gather(identify(far), look(far))
            # In a longer run also longer than a group waits for its member.
            away = FAULT_SECONDS * (1 + turn % 3)
            await asyncio.sleep(max(0.0, away - (time.monotonic() - cut_at)))
            proxy.mend()
            after_cut = await resumed(far)

            proxy.slow(seconds=0.15, bytes_per_second=200_000)
            await asyncio.sleep(FAULT_SECONDS)
            proxy.mend()
            after_slow = await resumed(far)

            proxy.silence()
            await asyncio.sleep(FAULT_SECONDS)
            proxy.mend()
            after_silence = await resumed(far)

            slowest = max(slowest, after_cut, after_slow, after_silence)
            assert slowest < RESUMED_SECONDS, (after_cut, after_slow, after_silence)
            assert wrong & NAMED[store], wrong
            for answer in answers:
                assert answer.status_code in EXPECTED[store], answer.text
                if answer.status_code == 503:
                    assert answer.json()["code"] == "store_unavailable"
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert answer.headers["retry-after"] == "1"
        await load.progress(20)

    assert not load.trouble
    assert len(load.accepted) >= 40
    oracle = await settled(far.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
    tally(faults=3 * count, commands=len(load.accepted), milliseconds_to_resume=round(slowest * 1000))


# The checks of which one at least must fail, and the statuses of a command and a query meanwhile.
NAMED: Mapping[str, set[str]] = {
    "postgres": {"postgresql"},
    "mongodb": {"mongodb"},
    "kafka": {"relay", "projection contacts-service.customers"},
}
EXPECTED: Mapping[str, set[int]] = {"postgres": {503, 200}, "mongodb": {503, 201}, "kafka": {200, 201}}


async def identify(fleet: Fleet) -> httpx.Response:
    """One command, once."""
    value = f"network{time.time_ns()}@example.com"
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": value}]}
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        return await client.post(f"{fleet.url('contacts')}/v1/customers/identify", json=body)


async def look(fleet: Fleet) -> httpx.Response:
    """One query, once."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        return await client.get(f"{fleet.url('customer360')}/v1/customers?q=nguyen")


async def not_ready(fleet: Fleet) -> set[str]:
    """What contacts says that it is not ready for, as soon as it says so."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client, asyncio.timeout(READINESS_SECONDS):
        while (answer := await client.get(f"{fleet.url('contacts')}/readyz")).status_code == 200:
            await asyncio.sleep(0.1)
    checks: list[dict[str, Any]] = answer.json()["checks"]
    return {check["check"] for check in checks if not check["ok"]}


async def resumed(fleet: Fleet) -> float:
    """The seconds until a command is accepted and its event is in the view of another service."""
    started = time.monotonic()
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client, asyncio.timeout(60):
        while (answer := await identify(fleet)).status_code == 503:
            await asyncio.sleep(0.1)
        identified = answer.raise_for_status().json()
        url = f"{fleet.url('customer360')}/v1/customers/{identified['customer_id']}"
        after = {"after": f"contacts:{identified['position']}"}
        while (answer := await client.get(url, params=after)).status_code == 503:
            await asyncio.sleep(0.1)
    assert answer.status_code == 200, answer.text
    assert answer.json()["identified"]
    return time.monotonic() - started
