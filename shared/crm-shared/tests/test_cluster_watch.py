"""One look at the cluster for all consumers of a process, now and then."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from crm_shared.kafka.cluster_watch import LOOK_SECONDS, ClusterWatch


class Admin:
    """An administrative client of a broker that answers, or does not."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker

    async def start(self) -> None:
        self._broker.open += 1

    async def describe_cluster(self) -> dict[str, Any]:
        self._broker.looks += 1
        await asyncio.sleep(0)
        if self._broker.away:
            raise KafkaConnectionError("nobody answers")
        return {"cluster_id": self._broker.cluster}

    async def close(self) -> None:
        self._broker.open -= 1


class Broker:
    cluster = "first"
    away = False
    looks = 0
    open = 0

    def admin(self) -> Any:
        return Admin(self)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


async def test_many_callers_within_two_seconds_share_one_look(clock: list[float]) -> None:
    broker = Broker()
    watch = ClusterWatch(broker.admin)
    async with watch.in_use():
        found = await asyncio.gather(*(watch.cluster() for _ in range(20)))
        clock[0] += LOOK_SECONDS / 2
        found.append(await watch.cluster())
        assert set(found) == {"first"}
        assert broker.looks == 1

        # and a while later it is another cluster
        broker.cluster = "second"
        clock[0] += LOOK_SECONDS / 2
        assert await watch.cluster() == "second"
        assert (broker.looks, broker.open) == (2, 1)


async def test_after_an_error_the_next_caller_looks_again_on_a_new_connection(clock: list[float]) -> None:
    broker = Broker()
    watch = ClusterWatch(broker.admin)
    async with watch.in_use():
        await watch.cluster()
        clock[0] += LOOK_SECONDS
        broker.away = True
        for _ in range(2):
            with pytest.raises(KafkaConnectionError):
                await watch.cluster()
            assert broker.open == 0
        broker.away = False

        assert await watch.cluster() == "first"
        assert (broker.looks, broker.open) == (4, 1)


async def test_the_last_user_closes_the_connection_and_the_next_one_looks_anew(clock: list[float]) -> None:
    broker = Broker()
    watch = ClusterWatch(broker.admin)
    async with watch.in_use():
        async with watch.in_use():
            await watch.cluster()
        assert broker.open == 1
    assert broker.open == 0

    broker.cluster = "second"
    async with watch.in_use():
        assert await watch.cluster() == "second"
    assert broker.open == 0
