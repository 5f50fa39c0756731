"""The load generator, a process of its own: purchases over plain sockets, in a closed loop or at a fixed rate.

It formats requests and reads answers itself, at some 15 microseconds each, so that the server is the limit.
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop

from benchmarks.purchases import customer_ids, request_body

PATH = "/v1/purchases"


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request under way at a time."""

    def __init__(self, answered: Callable[["Connection", int, bytes], None]) -> None:
        self._answered = answered
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None
        self.sent_at = 0.0
        self.customer = ""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self.sent_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) >= length:
            self._received = rest[length:]
            self._answered(self, int(head[9:12]), rest[:length])

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class Requests:
    """Makes request after request, each a new order of the next customer."""

    def __init__(self, host: str, customers: int) -> None:
        self._head = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: "
        self._customers = customer_ids(customers)
        self._prefix = secrets.token_hex(4)
        self.made = 0

    def next(self, connection: Connection) -> bytes:
        connection.customer = self._customers[self.made % len(self._customers)]
        body = request_body(connection.customer, f"{self._prefix}-{self.made}")
        self.made += 1
        return f"{self._head}{len(body)}\r\n\r\n".encode() + body


async def closed_loop(
    url: str, connections: int, seconds: float, customers: int, number: int = 0
) -> dict[str, float | list[list[object]]]:
    """Each connection sends its next request when the last one is answered: rate and answer times.

    It ends after so many seconds or, if given, this number of requests; then `answers` has what `fixed_rate` says.
    """
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    requests = Requests(host, customers)
    taken: list[float] = []
    errors: list[bytes] = []
    answers: list[tuple[float, float, str, bytes]] = []
    working = connections
    finished = asyncio.Event()
    last = 0.0

    def answered(connection: Connection, status: int, body: bytes) -> None:
        nonlocal working, last
        last = time.monotonic()
        taken.append(last - connection.sent_at)
        if status >= 300:
            errors.append(body)
        if number:
            answers.append((connection.sent_at, last, connection.customer, body))
        if requests.made < number if number else last < deadline:
            connection.send(requests.next(connection))
            return
        working -= 1
        if working == 0:
            finished.set()

    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(lambda: Connection(answered), host, port))[1] for _ in range(connections)]
    begin = time.monotonic()
    deadline = begin + seconds
    for connection in opened:
        connection.send(requests.next(connection))
    await asyncio.wait_for(finished.wait(), 120 if number else seconds + 30)
    if errors:
        raise SystemExit(f"{len(errors)} errors, the first: {errors[0].decode()}")
    taken.sort()
    return {
        "rate": len(taken) / (last - begin),
        "p50_ms": statistics.median(taken) * 1000,
        "p99_ms": taken[int(len(taken) * 0.99)] * 1000,
        "answers": [[sent, back, customer, orjson.loads(body)["position"]] for sent, back, customer, body in answers],
    }


async def fixed_rate(url: str, connections: int, seconds: float, customers: int, rate: float) -> list[list[object]]:
    """Requests at fixed times, whatever the answers: [due at, answered at (monotonic), customer, log position]."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    requests = Requests(host, customers)
    found: list[list[object]] = []
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    due_at: dict[Connection, float] = {}

    def answered(connection: Connection, status: int, body: bytes) -> None:
        if status >= 300:
            raise SystemExit(body.decode())
        found.append([due_at[connection], time.monotonic(), connection.customer, orjson.loads(body)["position"]])
        idle.put_nowait(connection)

    loop = asyncio.get_running_loop()
    for _ in range(connections):
        idle.put_nowait((await loop.create_connection(lambda: Connection(answered), host, port))[1])
    begin = time.monotonic()
    for number in range(int(seconds * rate)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        connection = await asyncio.wait_for(idle.get(), 30)
        # From when it was due: a request that had to wait for a free connection has waited.
        due_at[connection] = due
        connection.send(requests.next(connection))
    async with asyncio.timeout(30):
        while idle.qsize() < connections:
            await asyncio.sleep(0.01)
    return found


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--requests", type=int, default=0, help="so many, instead of seconds, as fast as it goes")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0: as fast as it goes")
    said = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if said.rate:
            result: object = runner.run(fixed_rate(said.url, said.connections, said.seconds, said.customers, said.rate))
        else:
            arguments = (said.url, said.connections, said.seconds, said.customers, said.requests)
            result = runner.run(closed_loop(*arguments))
    sys.stdout.buffer.write(orjson.dumps(result))


if __name__ == "__main__":
    main()
