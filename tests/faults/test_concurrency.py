"""Many at once: writers on one customer, relays on one log, projectors on one view; each change counts once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from tests.faults.fleet import Fleet, Process
from tests.faults.load import REQUEST_SECONDS, Load
from tests.faults.oracle import Oracle, settled

from relata_local.processes import start_all, stop_all

WRITERS = 16
CHANGES = 12
HANDOVER_SECONDS = 10.0


class Beside:
    """Further processes of a fleet, for the time of a test."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._processes: list[Process] = []

    def make(self, service: str, role: str) -> Process:
        """Another process with this role; not started."""
        process = Process(service, role, self._fleet.servers.data.path, self._fleet.environment)
        process.name += f"-beside{len(self._processes)}"
        process.log_file = process.log_file.with_stem(process.name)
        self._processes.append(process)
        return process

    def start(self, *wanted: tuple[str, str]) -> list[Process]:
        """More processes: (service, role) of each."""
        made = [self.make(service, role) for service, role in wanted]
        start_all(made)
        return made

    def stop(self) -> None:
        stop_all(self._processes)


@pytest.fixture
def beside(fleet: Fleet) -> Iterator[Beside]:
    fleet.start_missing()
    more = Beside(fleet)
    yield more
    more.stop()


async def test_sixteen_writers_on_one_customer_lose_no_change(
    fleet: Fleet, beside: Beside, count: int, tally: Callable[..., None]
) -> None:
    more = await asyncio.to_thread(beside.start, ("contacts", "api"), ("contacts", "api"), ("interactions", "api"))
    contacts = [fleet.url("contacts"), more[0].address, more[1].address]
    interactions = [fleet.url("interactions"), more[2].address]
    customer = await identify(contacts[0])

    answers = await asyncio.gather(
        *(write(number, customer, contacts, interactions, CHANGES * count) for number in range(WRITERS))
    )

    oracle = await settled(fleet.settings)
    statuses = Counter(answer.status_code for one in answers for answer in one)
    positions = [answer.json()["position"] for one in answers for answer in one if answer.status_code == 201]
    assert set(statuses) <= {200, 201, 409}, statuses
    tags = [f"tag-{number}-{step}" for number, one in enumerate(answers) for step in tagged(one)]
    seen = await look(fleet, "contacts", customer)
    assert sorted(seen["tags"]) == sorted(tags)
    whole = await look(fleet, "customer360", customer)
    assert sorted(whole["tags"]) == sorted(tags)
    assert whole["purchases"]["count"] == len(positions) == len(set(positions)) == WRITERS * CHANGES * count
    assert contiguous(oracle)
    # Not more than a few lose against others time and again; they are told so, and nothing of theirs is stored.
    assert statuses[409] <= WRITERS * CHANGES * count / 20
    tally(writers=WRITERS, changes=len(tags) + len(positions), refused=statuses[409])


async def test_a_second_relay_takes_over_within_seconds_when_the_first_is_killed(
    fleet: Fleet, beside: Beside, count: int, tally: Callable[..., None]
) -> None:
    relays = [fleet.process("contacts", "relay"), *await asyncio.to_thread(beside.start, ("contacts", "relay"))]
    slowest = 0.0

    async with Load(fleet.url, seed=5, most=2_000 * count) as load:
        for _ in range(2 * count):
            await load.progress(20)
            leading = [one for one in relays if await leads(one)]
            assert len(leading) == 1
            await asyncio.to_thread(leading[0].kill)
            killed_at = time.monotonic()
            (other,) = [one for one in relays if one is not leading[0]]
            async with asyncio.timeout(60):
                while not await leads(other):
                    await asyncio.sleep(0.05)
            slowest = max(slowest, time.monotonic() - killed_at)
            await load.progress(20)
            await asyncio.to_thread(start_all, leading)
            assert not await leads(leading[0])

    assert slowest < HANDOVER_SECONDS
    await nothing_lost(fleet, load)
    tally(handovers=2 * count, commands=len(load.accepted), milliseconds_at_most=round(slowest * 1000))


async def test_projectors_that_join_and_leave_under_load_lose_nothing_and_write_one_at_a_time(
    fleet: Fleet, beside: Beside, count: int, tally: Callable[..., None]
) -> None:
    services = ("contacts", "customer360", "segmentation")
    joining = [beside.make(service, "project") for service in services]

    async with Load(fleet.url, seed=6, most=2_000 * count) as load:
        for turn in range(2 * count):
            await load.progress(20)
            await asyncio.to_thread(start_all, joining)
            await load.progress(40)
            for one in joining:
                await asyncio.to_thread(one.kill if turn % 2 else one.stop)
        await load.progress(20)

    await nothing_lost(fleet, load)
    tally(joined=len(joining) * 2 * count, commands=len(load.accepted))


async def identify(url: str) -> str:
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": f"hot{time.time_ns()}@example.com"}]}
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        answer = (await client.post(f"{url}/v1/customers/identify", json=body)).raise_for_status()
    return str(answer.json()["customer_id"])


async def look(fleet: Fleet, service: str, customer: str) -> dict[str, Any]:
    """What a service shows of a customer."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        found: dict[str, Any] = (await client.get(f"{fleet.url(service)}/v1/customers/{customer}")).json()
    return found


async def write(
    number: int, customer: str, contacts: Sequence[str], interactions: Sequence[str], changes: int
) -> list[httpx.Response]:
    """One writer, with a connection of its own: in turn a tag of its own and a purchase, over all processes."""
    answers = []
    async with httpx.AsyncClient(timeout=30) as client:
        for step in range(changes):
            url = contacts[(number + step) % len(contacts)]
            answers.append(await client.put(f"{url}/v1/customers/{customer}/tags/tag-{number}-{step}"))
            body: dict[str, Any] = {
                "customer_id": customer,
                "system": "hot",
                "order_id": f"{customer}-{number}-{step}",
                "occurred_at": "2026-01-01T00:00:00Z",
                "total": {"amount": "1.00", "currency": "USD"},
            }
            url = interactions[(number + step) % len(interactions)]
            answers.append(await client.post(f"{url}/v1/purchases", json=body))
    return answers


def tagged(answers: Sequence[httpx.Response]) -> list[int]:
    """The steps at which a tag was acknowledged."""
    return [step for step, answer in enumerate(answers[::2]) if answer.status_code == 200]


def contiguous(oracle: Oracle) -> bool:
    """Whether every stream's versions run from 1 without a gap or a repetition, in the order of the log."""
    last: Counter[Any] = Counter()
    for log in oracle.logs.values():
        for event, _ in log.events:
            last[event.originator_id] += 1
            if event.originator_version != last[event.originator_id]:
                return False
    return True


async def leads(relay: Process) -> bool:
    """Whether this process publishes, by what it says of itself."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        text = (await client.get(f"{relay.address}/metrics")).text
    return any(line.split()[-1] == "1.0" for line in text.splitlines() if line.startswith("relata_relay_leader"))


async def nothing_lost(fleet: Fleet, load: Load) -> None:
    assert not load.trouble
    oracle = await settled(fleet.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
