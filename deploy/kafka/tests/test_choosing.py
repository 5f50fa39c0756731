"""Which servers tests run against, and what is said when this machine cannot run it; none of this starts one."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from relata_kafka import ApacheKafka, broker_factory, container_servers, jars
from relata_kafka.configuration import Listeners, server_properties
from relata_kafka.stores import MONGODB_IMAGE, POSTGRES_IMAGE, ContainerServers
from relata_local.broker import BrokerServer
from relata_local.errors import LocalError
from relata_local.servers import EmbeddedServers

NO_DOCKER = "(Docker cannot be reached|testcontainers is not installed): .+"


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Neither Java nor Maven, nor jars from earlier; the folder of programs, empty."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("MAVEN_HOME", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    return programs


def add_java(programs: Path, version: str) -> None:
    program = programs / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)


def test_the_embedded_broker_needs_nothing(bare_machine: Path) -> None:
    assert broker_factory("embedded") is BrokerServer


def test_without_java_one_line_says_so(bare_machine: Path) -> None:
    with pytest.raises(LocalError, match=r"^Apache Kafka needs Java 17 or later: put java on the PATH.*$"):
        broker_factory("apache")


def test_an_old_java_is_named(bare_machine: Path) -> None:
    add_java(bare_machine, "11.0.2")

    with pytest.raises(LocalError, match=r'^Apache Kafka needs Java 17 or later; .*version "11\.0\.2".*$'):
        broker_factory("apache")


def test_without_maven_one_line_says_so(bare_machine: Path) -> None:
    add_java(bare_machine, "17.0.15")

    with pytest.raises(LocalError, match=r"^Apache Kafka's jars are resolved by Maven: put mvn on the PATH.*$"):
        broker_factory("apache")


def test_jars_from_earlier_need_no_maven(bare_machine: Path) -> None:
    add_java(bare_machine, "21.0.1")
    jars.cache_folder().mkdir(parents=True)

    assert broker_factory("apache") is ApacheKafka


@pytest.mark.parametrize("make", [partial(broker_factory, "testcontainers"), container_servers])
def test_without_docker_one_line_says_so(bare_machine: Path, make: Callable[[], object]) -> None:
    with pytest.raises(LocalError, match=NO_DOCKER):
        make()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--kafka=apache", r"ERROR: Apache Kafka needs Java 17 .+"),
        ("--servers=containers", f"ERROR: {NO_DOCKER}"),
    ],
)
def test_the_whole_run_fails_in_one_line_rather_than_being_skipped(
    bare_machine: Path, project_root: Path, option: str, reason: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", option, "tests"],
        capture_output=True,
        text=True,
        check=False,
        cwd=project_root,
    )

    assert done.returncode != 0
    assert re.fullmatch(reason, done.stderr.strip())


def test_the_servers_are_those_of_compose(project_root: Path) -> None:
    images = re.findall(r"image: (\S+)", (project_root / "docker-compose.yml").read_text())

    assert {f"apache/kafka:{jars.version()}", MONGODB_IMAGE, POSTGRES_IMAGE} <= set(images)


def test_servers_in_containers_are_told_to_services_by_the_variables_of_the_embedded_ones(tmp_path: Path) -> None:
    servers = ContainerServers(tmp_path / "containers")
    embedded = EmbeddedServers(tmp_path / "embedded", broker=ApacheKafka)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "postgres.password").write_text("secret")

    environment = servers.environment()

    assert set(environment) == set(embedded.environment())
    assert environment["MONGODB_URI"] == f"mongodb://127.0.0.1:{servers.documents.port}/?replicaSet=relata"
    assert environment["POSTGRES_PORT"] == str(servers.postgres.port)
    assert not any(server.running for server in servers.all)


def test_the_broker_makes_no_topics_by_itself_and_listens_on_loopback_only() -> None:
    listeners = Listeners(plain=9092, controller=9093, secure={})

    text = server_properties(listeners, data="/data", bind="127.0.0.1", advertise="127.0.0.1")

    assert "auto.create.topics.enable=false\n" in text
    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n" in text
    assert "ssl.keystore" not in text
