"""Crash points kill a process only when its start asked for it, at the time it was asked for."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
from crm_shared.observability.crash_points import reach
reach("after_store")
print("once", flush=True)
reach("after_send")
reach("after_store")
print("twice", flush=True)
"""


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_a_process_that_was_not_told_to_die_passes_every_point() -> None:
    done = run()

    assert (done.returncode, done.stdout) == (0, "once\ntwice\n")


@pytest.mark.parametrize(("asked_for", "printed"), [("after_store", ""), ("after_send", "once\n")])
def test_a_process_dies_at_the_point_that_its_environment_names(asked_for: str, printed: str) -> None:
    done = run(RELATA_CRASH_AT=asked_for)

    assert (done.returncode, done.stdout) == (-signal.SIGKILL, printed)


def test_a_process_can_be_told_to_die_at_a_later_time_that_it_gets_there() -> None:
    done = run(RELATA_CRASH_AT="after_store:2")

    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "once\n")


def test_a_name_that_is_no_crash_point_stops_the_start() -> None:
    done = run(RELATA_CRASH_AT="after_lunch")

    assert done.returncode == 1
    assert "RELATA_CRASH_AT names no crash point: after_lunch" in done.stderr
