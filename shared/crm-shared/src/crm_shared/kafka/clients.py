"""aiokafka's clients, made to come to an end while no broker answers, and to stay with one cluster."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any
from weakref import WeakSet

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.protocol.metadata import MetadataRequest

from crm_shared.kafka.pace import Pace
from crm_shared.kafka.static_members import end_with_the_session, refuse_if_in_use

DELIVERY_SECONDS = 20.0
COMMIT_SECONDS = 10.0
STOP_SECONDS = 5.0


class OtherCluster(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """The address leads to another cluster than it did when the client began."""


class Stalled(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """A part of a client that works beside its caller has ended, so that nothing would come any more."""


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka is untyped
    """A producer that gives up, with `TimeoutError`, what no broker takes.

    With idempotence on, aiokafka's own tries for ever, even on a broker that has lost the topic, and `stop` waits for
    that in a loop without a pause. Here the caller starts over, with what was not acknowledged.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _know_closed_transports(self.client)

    async def start(self) -> None:
        """Connect."""
        await _start(super().start())

    def keep_to(self, cluster: str) -> None:
        """Send to no other cluster: what does not get through raises `OtherCluster`."""
        _keep_to(self.client, cluster)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Send a batch; the future is done when it is acknowledged."""
        sent = await asyncio.wait_for(super().send_batch(batch, topic, partition=partition), DELIVERY_SECONDS)
        return asyncio.ensure_future(asyncio.wait_for(sent, DELIVERY_SECONDS))

    async def send_and_wait(self, *arguments: Any, **options: Any) -> Any:
        """Send a record and wait until it is acknowledged."""
        return await asyncio.wait_for(super().send_and_wait(*arguments, **options), DELIVERY_SECONDS)

    async def stop(self) -> None:
        """Stop without sending what is left: nobody waits for it any more."""
        if not self._closed:
            self._message_accumulator.fail_all(ProducerClosed())
        await _stop(super().stop(), self.client)


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """A consumer whose `commit` and `stop` are bounded, and whose `getmany` does not wait for what cannot come.

    While no broker answers, aiokafka's own commits for ever, and `stop` raises the cancellation of its own fetch,
    which looks as if the caller had been cancelled, and leaves connections open. When its fetching has ended by an
    error, that is only logged, and `getmany` has nothing for ever.
    """

    def __init__(self, *topics: str, pace: Pace, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._pace = pace
        _know_closed_transports(self._client)

    async def start(self) -> None:
        """Connect."""
        await _start(super().start())
        self._pace.set(self._fetcher)
        if self._group_instance_id:
            end_with_the_session(self._coordinator)

    @property
    def member_id(self) -> str:
        """The id that the broker has given it in its group; empty while it has none."""
        return str(self._coordinator.member_id) if self._group_id and self._coordinator else ""

    async def refuse_if_in_use(self, admin: AIOKafkaAdminClient, own: str) -> None:
        """Raise `IdInUse` while another than `own` is the static member of the group that this one wants to be."""
        if self._group_instance_id:
            await refuse_if_in_use(admin, self._group_id, self._group_instance_id, own)

    def hurry(self) -> None:
        """Somebody waits for records: ask for them at once."""
        self._pace.hurry()

    async def getmany(self, *partitions: Any, **options: Any) -> dict[Any, list[Any]]:
        """Batches of records, per partition. Raises `Stalled` when there would never be any more."""
        for part in (self._fetcher.error_future, self._client._sync_task):
            if part is not None and part.done():
                raise Stalled(f"the consumer has stopped reading: {part.get_coro().__name__} has ended")
        batches: dict[Any, list[Any]] = await super().getmany(*partitions, **options)
        if batches:
            self._pace.came(sum(map(len, batches.values())))
        return batches

    def keep_to(self, cluster: str) -> None:
        """Read from no other cluster; the reader has to find out that its cluster is gone."""
        _keep_to(self._client, cluster)

    async def commit(self, offsets: Any = None) -> None:
        """Commit, or raise `TimeoutError`."""
        await asyncio.wait_for(super().commit(offsets), COMMIT_SECONDS)

    async def stop(self) -> None:
        """Leave the group and stop."""
        await _stop(super().stop(), self._client)


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """An administrative client."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _know_closed_transports(self._client)

    async def start(self) -> None:
        """Connect."""
        await _start(super().start())

    async def close(self) -> None:
        """Close, within a bounded time."""
        await _stop(super().close(), self._client)


def heed_cancellation() -> None:
    """Raise `CancelledError` when this task was cancelled before and goes on all the same.

    Python 3.11's `asyncio.wait_for`, with which PyMongo and aiokafka wait, returns as if nothing had happened when what
    it waits for is done at the moment of the cancellation. Whoever has cancelled would wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _Writer:
    """A stream's writer that raises `ConnectionResetError` where it is closed already.

    uvloop raises `RuntimeError` for that and asyncio nothing. aiokafka is ready for neither: it expects an `OSError`,
    and by any other error its fetching and its look at the cluster end for good (its issue 1038).
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Send."""
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        try:
            self._writer.write(data)
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def _know_closed_transports(connections: AIOKafkaClient) -> None:
    """Let each connection say, as the client expects it, when the other end has closed it."""
    get = connections._get_conn

    async def get_conn(node: Any, **options: Any) -> Any:
        connection = await get(node, **options)
        writer = connection._writer if connection is not None else None
        if writer is not None and not isinstance(writer, _Writer):
            connection._writer = _Writer(writer)
        return connection

    connections._get_conn = get_conn


async def _start(starting: Coroutine[Any, Any, None]) -> None:
    """Start. When cancelled meanwhile, let it come to its end: aiokafka would forget a connection that is half made."""
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=STOP_SECONDS)
        if not task.cancel() and not task.cancelled():
            task.exception()
        raise


def _keep_to(connections: AIOKafkaClient, cluster: str) -> None:
    """Ask each connection where it leads before its first use.

    A broker can be replaced by an empty one between any two requests, and a client that connects again would go on
    there: with a page from the middle of a log, before what comes first; or at an offset that stands for other
    records. Either loses events of views, which skip what is older than what they have seen.
    """
    ready = connections.ready
    asked: WeakSet[Any] = WeakSet()

    async def ready_and_known(node: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> bool:
        if not await ready(node, group=group):
            return False
        connection = connections._conns.get((node, group))
        if connection is None or connection in asked:
            return connection is not None
        try:
            cluster_id = (await connection.send(MetadataRequest([]))).cluster_id
        except TimeoutError:
            connection.close()
            return False
        if cluster_id != cluster:
            connection.close()
            raise OtherCluster(f"{cluster} became {cluster_id}")
        asked.add(connection)
        return connections._conns.get((node, group)) is connection

    connections.ready = ready_and_known


async def _stop(stopping: Coroutine[Any, Any, None], connections: AIOKafkaClient) -> None:
    task = asyncio.ensure_future(stopping)
    try:
        await asyncio.wait([task], timeout=STOP_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)
    finally:
        task.cancel()
        if task.done() and not task.cancelled():
            # What it failed with is that the broker does not answer; whoever stops knows better why.
            task.exception()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(connections.close(), STOP_SECONDS)
