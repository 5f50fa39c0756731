"""Which broker tests run against, and what is said when this machine cannot run it; none of this starts one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from relata_kafka import ApacheKafka, broker_factory, jars
from relata_kafka.configuration import Listeners, server_properties
from relata_local.broker import BrokerServer
from relata_local.errors import LocalError


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Neither Java nor Maven, nor jars from earlier; the folder of programs, empty."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("apache", r"ERROR: Apache Kafka needs Java 17 .+"),
        ("testcontainers", r"ERROR: (Docker cannot be reached|testcontainers is not installed): .+"),
    ],
)
def test_the_whole_run_fails_in_one_line_rather_than_being_skipped(
    bare_machine: Path, project_root: Path, kind: str, reason: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--kafka={kind}", "tests"],
        capture_output=True,
        text=True,
        check=False,
        cwd=project_root,
    )

    assert done.returncode != 0
    assert re.fullmatch(reason, done.stderr.strip())


def test_the_jars_and_the_image_of_compose_are_one_version(project_root: Path) -> None:
    image = re.search(r"image: apache/kafka:(\S+)", (project_root / "docker-compose.yml").read_text())

    assert image is not None
    assert image.group(1) == jars.version()


def test_the_broker_makes_no_topics_by_itself_and_listens_on_loopback_only() -> None:
    listeners = Listeners(plain=9092, controller=9093, secure={})

    text = server_properties(listeners, data="/data", bind="127.0.0.1", advertise="127.0.0.1")

    assert "auto.create.topics.enable=false\n" in text
    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n" in text
    assert "ssl.keystore" not in text
