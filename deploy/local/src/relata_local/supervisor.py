"""Keeps the processes of a stack running: starts again what died, ever later, and in the end gives up in one line."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relata_local.errors import LocalError
from relata_local.processes import ManagedServer

# Seconds before each start after a death; after one more death the process is given up.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# A process that has served for so long counts as well again: its next death is the first.
WELL_AFTER_SECONDS = 60.0
_LONGEST_LINE = 300  # letters of a log that go into one line for people


class GaveUp(LocalError):
    """A process died again and again."""

    def __init__(self, server: ManagedServer, deaths: int, reason: str) -> None:
        last_line = server.log_tail(1).strip()[:_LONGEST_LINE] or "(nothing)"
        died = f"{server.name}, which died {deaths} times in a row, at last with {reason}"
        super().__init__(f"gave up on {died}; log {server.log_file} ends: {last_line}")


@dataclass
class _Patient:
    """What is remembered of a process: its deaths in a row, and when it is to start, be ready, or counts as well."""

    deaths: int = 0
    start_at: float | None = None
    ready_by: float | None = None
    well_at: float | None = None


class Supervisor:
    """Looks after processes that have all been ready once.

    `tell` hears of every change: `exited` with the code and the pause before the next start, `started`, `ready`.
    """

    def __init__(
        self,
        servers: Sequence[ManagedServer],
        tell: Callable[[ManagedServer, str, Mapping[str, Any]], None],
        *,
        pauses: Sequence[float] = PAUSES,
        well_after: float = WELL_AFTER_SECONDS,
    ) -> None:
        self._patients = {server: _Patient() for server in servers}
        self._tell = tell
        self._pauses = pauses
        self._well_after = well_after

    def look(self) -> None:
        """Look at every process once and do what is due. Raises `GaveUp` when one has died too often in a row."""
        for server, patient in self._patients.items():
            now = time.monotonic()
            if patient.start_at is not None:
                if now >= patient.start_at:
                    self._start(server, patient)
            elif not server.running:
                self._died(server, patient, f"exit code {server.exit_code}")
            elif patient.ready_by is not None:
                self._await_ready(server, patient, patient.ready_by)
            elif patient.well_at is not None and now >= patient.well_at:
                self._patients[server] = _Patient()

    def _start(self, server: ManagedServer, patient: _Patient) -> None:
        patient.start_at = None
        try:
            server.launch()
        except LocalError as error:
            self._died(server, patient, error.message)
            return
        patient.ready_by = time.monotonic() + server.start_seconds
        self._tell(server, "started", {})

    def _await_ready(self, server: ManagedServer, patient: _Patient, ready_by: float) -> None:
        try:
            ready = server.answers()
            if ready:
                server.prepare()
        except LocalError as error:
            server.kill()
            self._died(server, patient, error.message)
            return
        if ready:
            patient.ready_by = None
            patient.well_at = time.monotonic() + self._well_after
            self._tell(server, "ready", {})
        elif time.monotonic() > ready_by:
            waits_for = f", waiting for {server.waits_for}" if server.waits_for else ""
            server.kill()
            self._died(server, patient, f"no answer after {server.start_seconds:.0f} s{waits_for}")

    def _died(self, server: ManagedServer, patient: _Patient, reason: str) -> None:
        patient.deaths += 1
        patient.ready_by = patient.well_at = None
        if patient.deaths > len(self._pauses):
            raise GaveUp(server, patient.deaths, reason)
        pause = self._pauses[patient.deaths - 1]
        patient.start_at = time.monotonic() + pause
        self._tell(server, "exited", {"reason": reason, "code": server.exit_code, "restart_in_seconds": pause})
