"""A TCP proxy that makes a network bad: slow, throttled, silent, or cut."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from relata_local.ports import HOST, free_port

T = TypeVar("T")

CHUNK = 16 * 1024
# With this option, closing a socket resets its connection.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards a loopback port to another one, on a thread of its own, as a context manager.

    with Proxy(server.port) as proxy:
        proxy.slow(seconds=0.2, bytes_per_second=100_000)
        proxy.cut()
        proxy.mend()
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._server: asyncio.Server | None = None
        self._sockets: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._bytes_per_second = 0.0
        self._flows = asyncio.Event()
        self._flows.set()

    def slow(self, *, seconds: float, bytes_per_second: float) -> None:
        """From now on bytes arrive that much later, and each connection carries no more than so many of them."""
        self._delay, self._bytes_per_second = seconds, bytes_per_second

    def silence(self) -> None:
        """Connections stay open and are accepted, and nothing arrives any more."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._run(self._cut())

    def mend(self) -> None:
        """As good as new."""
        self._run(self._mend())

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._mend())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        for writer in self._sockets:
            found: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it may have been closed by its other end
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _mend(self) -> None:
        self.slow(seconds=0, bytes_per_second=0)
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, HOST, self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._sockets.add(writer)
        ways: list[asyncio.Task[None]] = []
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
            self._sockets.add(there_writer)
            try:
                ways = [
                    asyncio.create_task(self._forward(reader, there_writer)),
                    asyncio.create_task(self._forward(there_reader, writer)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                self._sockets.discard(there_writer)
                there_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the connection ends here, whoever ended it
        finally:
            self._tasks.discard(task)
            self._sockets.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Chunks in their order, each at its due time, so that a delay does not lower the throughput."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        receiving = asyncio.create_task(self._receive(reader, under_way))
        try:
            while True:
                due, chunk = await under_way.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._flows.wait()
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
                if self._bytes_per_second:
                    await asyncio.sleep(len(chunk) / self._bytes_per_second)
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _receive(self, reader: asyncio.StreamReader, under_way: "asyncio.Queue[tuple[float, bytes]]") -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(CHUNK)
            except OSError:
                chunk = b""
            await under_way.put((self._loop.time() + self._delay, chunk))
