"""The load: a bounded stream of mixed commands over HTTP, each with its key, each retried until it is answered."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

WORKERS = 6
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 0.3
REQUEST_SECONDS = 10.0
GIVE_UP_SECONDS = 150.0
# Of the accepted commands, this share is sent again at once.
REPEATED = 0.05


@dataclass(frozen=True)
class Command:
    """One command as a client sends it; its key is unique."""

    service: str
    method: str
    path: str
    body: dict[str, Any] | None
    key: str


@dataclass(frozen=True)
class Answered:
    """A command, and the answer that ended its retries."""

    command: Command
    status: int
    body: dict[str, Any]
    attempts: int

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


class Load:
    """Commands from several workers, until it is left or has sent `most`; on leaving, everything is answered.

        async with Load(stack.url, seed=1) as load:
            ...  # faults
        assert not load.trouble

    `transports` lead to services that run in this process. Workers share the customers; each defines segments of its
    own, so that nothing that they ask for is refused.
    """

    def __init__(
        self,
        url: Callable[[str], str],
        *,
        seed: int,
        most: int = 2_000,
        workers: int = WORKERS,
        transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._url = url
        self._mounts = {f"all://{service}": transport for service, transport in (transports or {}).items()}
        self._most = most
        self._workers = workers
        self._seed = seed
        self._stopping = asyncio.Event()
        self._run = uuid4().hex[:8]
        self._sent = 0
        self.customers: list[str] = []
        self.accepted: list[Answered] = []
        self.trouble: list[str] = []
        """What should not have happened: refusals, errors that are no 503, retries with another answer."""
        self.retries = 0
        self.longest_seconds = 0.0

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=False, mounts=self._mounts)

    async def __aenter__(self) -> Self:
        self._client = self._new_client()
        self._tasks = [asyncio.create_task(_Worker(self, number, self._seed).work()) for number in range(self._workers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._client.aclose()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set() or self._sent >= self._most

    async def progress(self, commands: int) -> None:
        """Wait until so many more commands have been accepted, or no more will be sent."""
        wanted = len(self.accepted) + commands
        while len(self.accepted) < wanted and not self.stopping:
            await asyncio.sleep(0.05)

    def key(self) -> str:
        self._sent += 1
        return f"{self._run}-{self._sent}"

    async def send(self, command: Command) -> Answered | None:
        """Send until it is answered with something else than 503; None when that took too long."""
        started = time.monotonic()
        for attempt in range(1, 10_000):
            try:
                response = await self._client.request(
                    command.method,
                    self._url(command.service) + command.path,
                    json=command.body,
                    headers={"Idempotency-Key": command.key},
                )
            except httpx.TransportError:
                pass
            else:
                if response.status_code != 503:
                    self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
                    return Answered(command, response.status_code, response.json(), attempt)
            self.retries += 1
            if time.monotonic() - started > GIVE_UP_SECONDS:
                break
            await asyncio.sleep(RETRY_SECONDS)
        self.trouble.append(f"{command} was not answered within {GIVE_UP_SECONDS:g} s")
        return None

    async def accept(self, command: Command, repeated: bool) -> dict[str, Any] | None:
        """Send a command that must be accepted, sometimes twice; its answer."""
        answered = await self.send(command)
        if answered is None:
            return None
        if not answered.accepted:
            self.trouble.append(f"{answered} was refused")
            return None
        self.accepted.append(answered)
        if repeated:
            again = await self.send(command)
            if again is not None and (again.status, again.body) != (answered.status, answered.body):
                self.trouble.append(f"{again} is not the first answer: {answered.status} {answered.body}")
        return answered.body

    async def repeat(self, count: int) -> None:
        """Send some accepted commands again, long afterwards: after leaving, with a client of its own."""
        chance = random.Random(self._seed)
        async with self._new_client() as self._client:
            for answered in chance.sample(self.accepted, min(count, len(self.accepted))):
                again = await self.send(answered.command)
                if again is not None and (again.status, again.body) != (answered.status, answered.body):
                    self.trouble.append(f"{again} is not the first answer: {answered.status} {answered.body}")


@dataclass
class _Worker:
    """One client: what it asks for depends on its seed and on what it was answered."""

    load: Load
    number: int
    seed: int
    surveys: list[str] = field(default_factory=list)
    segments: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed}-{self.number}")

    async def work(self) -> None:
        await self.identify()
        await self.publish()
        kinds: list[tuple[Callable[[], Any], int]] = [
            (self.identify, 18),
            (self.change, 10),
            (self.tag, 12),
            (self.link, 5),
            (self.prefer, 5),
            (self.buy, 22),
            (self.talk, 14),
            (self.answer, 8),
            (self.publish, 2),
            (self.define, 4),
        ]
        while not self.load.stopping:
            (kind,) = self.chance.choices([one for one, _ in kinds], [weight for _, weight in kinds])
            await kind()
            await asyncio.sleep(self.chance.random() * 2 * PAUSE_SECONDS)

    async def ask(
        self, service: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        command = Command(service, method, path, body, self.load.key())
        return await self.load.accept(command, self.chance.random() < REPEATED)

    @property
    def customer(self) -> str:
        return self.chance.choice(self.load.customers)

    @property
    def moment(self) -> str:
        """Some time in the past, not in the order of asking: imports and late reports are like that."""
        return f"2025-{self.chance.randint(1, 12):02}-{self.chance.randint(1, 28):02}T10:00:00.123456+07:00"

    async def identify(self) -> None:
        number = self.chance.randrange(10**12)
        body = {
            "source": "webshop",
            "identifiers": [{"type": "email", "value": f"customer{number}@example.com"}],
            "profile": {"name": f"Nguyễn Thị {number % 100}", "address": {"city": "Huế"}},
            "tags": ["new"],
            "attributes": {"floor": number % 9},
        }
        answer = await self.ask("contacts", "POST", "/v1/customers/identify", body)
        if answer:
            self.load.customers.append(answer["customer_id"])

    async def change(self) -> None:
        body = {"profile": {"income": f"{self.chance.randrange(10**6)}.50"}, "attributes": {"floor": None}}
        await self.ask("contacts", "PATCH", f"/v1/customers/{self.customer}", body)

    async def tag(self) -> None:
        method = self.chance.choice(["PUT", "PUT", "DELETE"])
        await self.ask("contacts", method, f"/v1/customers/{self.customer}/tags/{self.chance.choice(['vip', 'new'])}")

    async def link(self) -> None:
        identifier = {"type": "customer_number", "value": uuid4().hex, "system": "shop"}
        await self.ask("contacts", "POST", f"/v1/customers/{self.customer}/identifiers", {"identifiers": [identifier]})

    async def prefer(self) -> None:
        body = {"channels": {"email": self.chance.random() < 0.5}, "frequency": "weekly"}
        await self.ask("contacts", "PUT", f"/v1/customers/{self.customer}/preferences", body)

    async def buy(self) -> None:
        amount = f"{self.chance.randrange(1, 100)}.{self.chance.randrange(100):02}"
        body = {
            "customer_id": self.customer,
            "system": "webshop",
            "order_id": uuid4().hex,
            "occurred_at": self.moment,
            "total": {"amount": amount, "currency": self.chance.choice(["USD", "VND"])},
        }
        await self.ask("interactions", "POST", "/v1/purchases", body)

    async def talk(self) -> None:
        body = {
            "customer_id": self.customer,
            "channel": self.chance.choice(["email", "phone"]),
            "direction": "inbound",
            "occurred_at": self.moment,
            "subject": "Hỏi về đơn hàng",
        }
        await self.ask("interactions", "POST", "/v1/interactions", body)

    async def publish(self) -> None:
        key = f"survey-{self.load._run}-{self.number}"
        questions = [
            {"key": "recommend", "kind": "nps", "prompt": "How likely are you to recommend us?"},
            {"key": "why", "kind": "text", "prompt": "Why?"},
        ]
        body = {"title": f"After the purchase {self.chance.randrange(100)}", "questions": questions}
        if await self.ask("feedback", "PUT", f"/v1/surveys/{key}", body):
            self.surveys = [key]

    async def answer(self) -> None:
        if not self.surveys:
            return
        body = {
            "customer_id": self.customer,
            "answers": {"recommend": self.chance.randrange(11), "why": "Nhân viên rất thân thiện."},
            "answered_at": self.moment,
        }
        if self.chance.random() < 0.5:
            body["response_id"] = uuid4().hex
        await self.ask("feedback", "POST", f"/v1/surveys/{self.surveys[0]}/answers", body)

    async def define(self) -> None:
        key = f"segment-{self.load._run}-{self.number}-{self.chance.randrange(3)}"
        if self.segments.get(key) and self.chance.random() < 0.4:
            if await self.ask("segmentation", "DELETE", f"/v1/segments/{key}"):
                self.segments[key] = False
            return
        condition = self.chance.choice(
            [
                {"field": "purchases.count", "op": "gte", "value": self.chance.randrange(1, 5)},
                {"field": "tags", "op": "contains", "value": self.chance.choice(["vip", "new"])},
                {"field": "purchases.revenue.USD", "op": "gt", "value": str(self.chance.randrange(200))},
                {
                    "all": [
                        {"field": "identified", "op": "eq", "value": True},
                        {"field": "feedback.nps", "op": "gte", "value": 7},
                    ]
                },
            ]
        )
        if await self.ask(
            "segmentation", "PUT", f"/v1/segments/{key}", {"name": f"Some {key}", "condition": condition}
        ):
            self.segments[key] = True
