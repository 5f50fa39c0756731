"""The command `crm` says what is wrong in one line, and knows how customers and ports are named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relata_local import EmbeddedServers, LocalError, PortTaken, Stack, StackPorts, StartFailed
from relata_local.customer_page import as_identifier
from relata_local.ports import free_port
from relata_local.services import SERVICES


def crm(*arguments: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "relata_local", *arguments]
    environment = os.environ | variables
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("tail",), ("show", "email:a@b.c"), ("load", "cdnow")],
    ids=lambda arguments: arguments[0],
)
def test_a_command_says_in_one_line_that_nothing_runs(arguments: tuple[str, ...], tmp_path: Path) -> None:
    answer = crm(*arguments, cwd=tmp_path)

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"crm: nothing runs on {tmp_path}/.data: start it with `crm up`")
    assert answer.stderr.count("\n") == 1


def test_a_service_that_does_not_answer_is_named(tmp_path: Path) -> None:
    port = free_port()

    answer = crm("show", "email:a@b.c", "--url", f"customer360=http://127.0.0.1:{port}", cwd=tmp_path)

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"crm: customer360 does not answer at http://127.0.0.1:{port}")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["billing=http://127.0.0.1:1", "contacts", "contacts=127.0.0.1:8101"])
def test_an_address_that_names_no_service_or_no_url_is_refused(url: str, tmp_path: Path) -> None:
    answer = crm("status", "--url", url, cwd=tmp_path)

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"crm: --url {url} does not say NAME=http://host:port with one of contacts")
    assert answer.stderr.count("\n") == 1


def test_apache_kafka_without_java_is_refused_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    variables = {"PATH": str(tmp_path), "JAVA_HOME": ""}

    answer = crm("up", "--broker", "apache", "--data", str(tmp_path / "data"), cwd=tmp_path, **variables)

    assert answer.returncode == 1
    assert answer.stderr.startswith("crm: Apache Kafka needs Java 17 or later: put java on the PATH")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_up_names_the_taken_port_and_its_service_before_anything_starts(
    tmp_path: Path, servers: EmbeddedServers
) -> None:
    ports = StackPorts.from_base(free_port(), {"feedback": servers.broker.port})
    stack = Stack(tmp_path, ports)

    with pytest.raises(PortTaken, match=f"port {servers.broker.port}, which feedback needs, is taken"):
        stack.start()

    assert not any(server.running for server in stack.all)
    assert not (tmp_path / "logs").exists()


def test_a_second_up_on_the_same_data_is_refused(servers: EmbeddedServers) -> None:
    answer = crm("up", "--data", str(servers.data.path), "--json", cwd=servers.data.path)

    assert answer.returncode == 1
    assert f"another `crm up` already runs on {servers.data.path}" in answer.stderr


@pytest.mark.slow
def test_when_a_service_cannot_start_everything_stops_and_its_log_is_shown(tmp_path: Path) -> None:
    stack = Stack(tmp_path, services=["contacts"], environment={"LOG_LEVEL": "no such level"})

    with pytest.raises(StartFailed, match="could not start") as failure:
        stack.start()

    assert "log_level" in failure.value.details
    assert not any(server.running for server in stack.all)
    assert not stack.servers.data.in_use


def test_ports_follow_the_base_except_those_that_are_chosen() -> None:
    ports = StackPorts.from_base(8101, {"feedback": 9104, "kafka": 9092})

    assert [ports.services[name] for name in SERVICES] == [8101, 8102, 8103, 9104, 8105]
    assert (ports.servers.postgres, ports.servers.kafka, ports.servers.mongodb) == (8111, 9092, 8113)


def test_a_port_for_something_unknown_is_refused() -> None:
    with pytest.raises(LocalError, match="billing is not a service or server"):
        StackPorts.from_base(8101, {"billing": 9000})


@pytest.mark.parametrize(
    ("wanted", "identifier"),
    [
        ("email:a@b.c", "email:a@b.c"),
        ("a@b.c", "email:a@b.c"),
        ("+84 912-345-678", "phone:+84 912-345-678"),
        ("external:cdnow:00004", "external:cdnow:00004"),
        ("cdnow:00004", "external:cdnow:00004"),
    ],
)
def test_a_customer_can_be_named_in_several_ways(wanted: str, identifier: str) -> None:
    assert as_identifier(wanted) == identifier


def test_a_name_is_not_taken_for_an_identifier() -> None:
    with pytest.raises(LocalError, match="neither a customer id nor an identifier"):
        as_identifier("somebody")
