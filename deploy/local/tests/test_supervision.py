"""What dies is started again, ever later, until it is given up in one line; `crm status` says what is dead."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from relata_local.ports import free_port
from relata_local.processes import ManagedServer, is_alive
from relata_local.supervisor import GaveUp, Supervisor

MORTAL = """
import sys, time
print("born", flush=True)
time.sleep(float(sys.argv[1]))
sys.exit("the disk is full")
"""


class Mortal(ManagedServer):
    """A real process that is ready at once, and dies after so many seconds."""

    address = "nowhere"

    def __init__(self, data: Path, lives: float) -> None:
        super().__init__("mortal", free_port(), data)
        self._data = data
        self.lives = lives

    def launch(self) -> None:
        self._spawn([sys.executable, "-c", MORTAL, str(self.lives)], env=os.environ, cwd=self._data)

    def answers(self) -> bool:
        return self.running


def watch(supervisor: Supervisor, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        supervisor.look()
        time.sleep(0.01)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal(tmp_path, 0)
    yield server
    server.kill()


def test_a_process_that_dies_again_and_again_is_given_up_in_one_line_with_the_last_of_its_log(mortal: Mortal) -> None:
    pauses: list[float] = []

    def tell(server: ManagedServer, state: str, facts: Mapping[str, Any]) -> None:
        if state == "exited":
            pauses.append(facts["restart_in_seconds"])

    mortal.start()

    with pytest.raises(GaveUp) as failure:
        watch(Supervisor([mortal], tell, pauses=(0.1, 0.2, 0.4)), 30)

    assert pauses == [0.1, 0.2, 0.4]
    reason = "gave up on mortal, which died 4 times in a row, at last with exit code 1"
    assert failure.value.message == f"{reason}; log {mortal.log_file} ends: the disk is full"
    assert mortal.log_file.read_text().count("born") == 4


def test_deaths_long_before_are_forgotten(mortal: Mortal) -> None:
    mortal.lives = 0.5
    mortal.start()
    supervisor = Supervisor([mortal], lambda server, state, facts: None, pauses=(0.05,), well_after=0.1)

    watch(supervisor, 3)

    assert mortal.log_file.read_text().count("born") >= 3


def next_state(up: "subprocess.Popen[str]", state: str, process: str | None = None) -> dict[str, Any]:
    """What `crm up --json` says next of this state; the test's own limit is how long it may take."""
    assert up.stdout is not None
    for line in up.stdout:
        said: dict[str, Any] = json.loads(line)
        if said["state"] == state and process in (None, said.get("process")):
            return said
    raise AssertionError(f"`crm up` ended before it was {state}")


def status(data: Path) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "relata_local", "status", "--json", "--data", str(data)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout), done.stderr


UP = """
import sys
from relata_local import Stack
from relata_local.runner import run_in_foreground
from relata_local.tables import console
run_in_foreground(Stack(sys.argv[1], services=["contacts", "feedback"]), console(), as_json=True)
"""


@pytest.mark.timeout(180)
def test_the_killed_are_named_by_the_status_and_come_back_while_the_others_go_on(tmp_path: Path) -> None:
    up = subprocess.Popen([sys.executable, "-c", UP, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        with up:
            before = next_state(up, "ready")["processes"]
            code, healthy, _ = status(tmp_path)
            assert code == 0
            assert {one["health"] for one in [*healthy["services"].values(), *healthy["servers"].values()]} == {"ok"}
            assert isinstance(healthy["services"]["feedback"]["projections"][0]["lag"], int)

            up.send_signal(signal.SIGSTOP)  # nobody starts anything again while we look
            for name in ("contacts", "kafka"):
                os.kill(before[name]["pid"], signal.SIGKILL)
            code, found, complaint = status(tmp_path)
            up.send_signal(signal.SIGCONT)

            assert code == 1
            assert complaint.startswith("crm: dead: kafka, contacts")
            assert complaint.count("\n") == 1
            assert {name: one["health"] for name, one in found["servers"].items()} == {
                "postgres": "ok",
                "kafka": "dead",
                "mongodb": "ok",
            }
            assert found["services"]["contacts"]["health"] == "dead"
            for projection in found["services"]["feedback"]["projections"]:
                assert projection["lag"] is None
                assert all(partition["lag"] is None for partition in projection["partitions"])

            for name in ("kafka", "contacts"):
                died = next_state(up, "exited", name)
                assert (died["code"], died["restart_in_seconds"]) == (-signal.SIGKILL, 0.5)
            back = next_state(up, "ready", "contacts")
            assert back["pid"] != before["contacts"]["pid"]
            assert httpx.get(f"{before['contacts']['address']}/readyz").status_code == 200
            assert is_alive(psutil.Process(before["feedback"]["pid"]))

            up.send_signal(signal.SIGTERM)
            next_state(up, "stopped")
    finally:
        up.kill()
    assert up.returncode == 0
