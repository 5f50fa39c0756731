"""A server as a child process: launched in a session of its own, logged to a file, stopped within a bound."""

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from relata_local.errors import StartCancelled, StartFailed
from relata_local.ports import is_free

LOG_BYTES_KEPT = 10_000_000
POLL_SECONDS = 0.05


def inherited_environment(*dropped_prefixes: str) -> dict[str, str]:
    """This process's environment without the variables that would silently reconfigure a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped_prefixes)}


class ManagedServer(ABC):
    """A server that runs as a child process.

    `launch` starts it and returns at once; `start` also waits until it answers. It runs in a session of its own, so
    that Ctrl-C in the terminal reaches only the parent, which then stops it in order. Its pid is kept in a file, so
    that the next start can end what a killed parent left behind.
    """

    stop_signal = signal.SIGTERM
    stop_seconds = 15.0
    start_seconds = 60.0

    def __init__(self, name: str, port: int, data: Path) -> None:
        self.name = name
        self.port = port
        self.log_file = data / "logs" / f"{name}.log"
        self._pid_file = data / "run" / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self.waits_for = ""  # what it says it is not ready for

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients reach it."""

    @abstractmethod
    def launch(self) -> None:
        """Start the process without waiting for it to answer."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves clients now."""

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """What to do once it answers and before anybody else uses it."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Launch, wait until it answers, prepare. Raises `StartFailed` with the end of the log, and leaves nothing."""
        start_all([self])

    def stop(self) -> None:
        """Ask it to stop, wait a bounded time, then kill it."""
        self.signal_stop()
        self.wait_stopped()

    def signal_stop(self) -> None:
        """Ask it to stop without waiting, so that several can stop at the same time."""
        if self._process is not None and self.running:
            self._process.send_signal(self.stop_signal)

    def wait_stopped(self) -> None:
        """Wait for the stop that was asked for; kill it when that takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """Kill it and all its children at once, as a crash would."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            kill_tree(psutil.Process(self._process.pid))
        self._process.wait()
        self._forget()

    def restart(self) -> None:
        """Stop it in order and start it again on the same port."""
        self.stop()
        self.start()

    def leftover(self) -> psutil.Process | None:
        """The process that an earlier, killed parent left running on this data."""
        try:
            pid, created = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            same = abs(process.create_time() - float(created)) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None  # no file, an unreadable file, or a process that has gone
        return process if same else None

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that it wrote."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - 16_384))
                return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _spawn(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_KEPT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=[] if user is not None else None,
            )
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(self._process.pid).create_time()
            self._pid_file.write_text(f"{self._process.pid} {created}\n")

    def _forget(self) -> None:
        self._process = None
        self._pid_file.unlink(missing_ok=True)


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all its descendants, parent first, so that none is started anew."""
    family = [process, *process.children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    deadline = time.monotonic() + 10
    while any(is_alive(member) for member in family) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def end_leftovers(servers: Sequence[ManagedServer]) -> None:
    """End what an earlier, killed parent left running, in order first and by force when that takes too long."""
    leftovers = [(server, process) for server in servers if (process := server.leftover()) is not None]
    for server, process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(server.stop_signal)
    deadline = time.monotonic() + max((server.stop_seconds for server, _ in leftovers), default=0)
    for _, process in leftovers:
        while is_alive(process):
            if time.monotonic() > deadline:
                kill_tree(process)
                break
            time.sleep(POLL_SECONDS)
    # A process that waits to be reaped may have threads that have not ended yet, and these keep its port.
    deadline = time.monotonic() + 5
    while not all(is_free(server.port) for server, _ in leftovers) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still does anything; a process that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_all(
    servers: Sequence[ManagedServer],
    *,
    cancelled: Callable[[], bool] = lambda: False,
    on_change: Callable[[], None] = lambda: None,
    on_ready: Callable[[ManagedServer], None] = lambda server: None,
) -> None:
    """Launch several servers together and wait until all answer; when one cannot, stop all of them.

    `on_change` is called at every look at them, `on_ready` once for each. Raises `StartFailed` with the end of the
    log of the server that failed, or `StartCancelled` when `cancelled` says so.
    """
    try:
        deadlines: dict[ManagedServer, float] = {}
        for server in servers:
            if cancelled():
                raise StartCancelled
            server.launch()
            deadlines[server] = time.monotonic() + server.start_seconds
            on_change()
        while deadlines:
            for server, deadline in list(deadlines.items()):
                if cancelled():
                    raise StartCancelled
                if server.answers():
                    server.prepare()
                    del deadlines[server]
                    on_ready(server)
                elif not server.running:
                    reason = f"could not start (exit code {server.exit_code}, log {server.log_file})"
                    raise StartFailed(server.name, reason, server.log_tail())
                elif time.monotonic() > deadline:
                    waits_for = f", waiting for {server.waits_for}" if server.waits_for else ""
                    reason = f"was not ready after {server.start_seconds:.0f} s{waits_for} (log {server.log_file})"
                    raise StartFailed(server.name, reason, server.log_tail())
            on_change()
            if deadlines:
                time.sleep(POLL_SECONDS)
    except BaseException:
        stop_all(servers)
        raise


def stop_all(servers: Sequence[ManagedServer]) -> None:
    """Stop several servers at the same time, each within its own bound."""
    for server in servers:
        server.signal_stop()
    for server in servers:
        server.wait_stopped()
