"""Runs a stack in the foreground: shows it start, lets work be done on it, serves until a signal, stops it."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from relata_local.display import StackDisplay, print_failure, print_json
from relata_local.errors import StartCancelled
from relata_local.processes import ManagedServer
from relata_local.stack import Stack
from relata_local.supervisor import Supervisor

_WATCH_SECONDS = 0.5


class StopRequest:
    """Whether the user asked to stop. While `interrupting`, asking also raises KeyboardInterrupt in the main thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.interrupting = False

    def __call__(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        return self._asked.wait(seconds)

    def note(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()
        if self.interrupting:
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a request to stop."""
    request = StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, request.note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_in_foreground(
    stack: Stack,
    console: Console,
    *,
    as_json: bool,
    work: Callable[[Stack], None] = lambda stack: None,
    serve: bool = True,
) -> None:
    """Start the stack, do the work, serve until the user asks to stop, and stop it. A second request kills it.

    While it serves, what dies is started again. Raises `LocalError` when it cannot start, the work fails, or a process
    dies again and again; nothing is left running then.
    """
    with stop_signals() as stop_asked:
        try:
            _start(stack, console, stop_asked, as_json=as_json)
            stop_asked.interrupting = True
            if not stop_asked():
                work(stack)
            stop_asked.interrupting = False
            if serve:
                _serve(stack, console, stop_asked, as_json=as_json)
        except StartCancelled as stopped:
            if not as_json:
                console.print(Text(stopped.message, "dim"))
        except KeyboardInterrupt:
            pass  # the user asked for it while work was being done
        finally:
            _stop(stack, console, stop_asked, as_json=as_json)


def _start(stack: Stack, console: Console, stop_asked: StopRequest, *, as_json: bool) -> None:
    display = StackDisplay(stack)
    live = console.is_terminal and not as_json

    def on_ready(server: ManagedServer) -> None:
        display.note_ready(server)
        if not live and not as_json:
            seconds = display.ready_after[server.name]
            console.print(f"{server.name} ready after {seconds:.1f} s at {server.address}", soft_wrap=True)

    with Live(display, console=console, refresh_per_second=8) if live else nullcontext():
        stack.start(cancelled=stop_asked, on_ready=on_ready)
    if as_json:
        print_json({"state": "ready", "data": str(stack.data), "processes": display.as_json()})


def _serve(stack: Stack, console: Console, stop_asked: StopRequest, *, as_json: bool) -> None:
    if not as_json:
        documentation = ", ".join(f"{url}/docs" for url in stack.urls.values())
        console.print(f"API documentation: {documentation}", soft_wrap=True)
        where = "" if stack.data.name == ".data" else f" --data {stack.data}"
        console.print(f"Serving. In another terminal: crm status{where}, crm tail{where}, crm show{where} CUSTOMER.")
        console.print("Ctrl-C stops all of it and keeps the data.")

    def tell(server: ManagedServer, state: str, facts: Mapping[str, Any]) -> None:
        if as_json:
            print_json({"state": state, "process": server.name, "pid": server.pid, **facts})
        elif state == "exited":
            again = f"starting it again in {facts['restart_in_seconds']:g} s"
            reason = f"{server.name} died ({facts['reason']}); {again}; log {server.log_file}"
            print_failure(console, reason, server.log_tail())
        elif state == "ready":
            console.print(f"{server.name} is ready again at {server.address}", soft_wrap=True)

    supervisor = Supervisor(stack.all, tell)
    while not stop_asked.wait(_WATCH_SECONDS):
        supervisor.look()


def _stop(stack: Stack, console: Console, stop_asked: StopRequest, *, as_json: bool) -> None:
    running = any(server.running for server in stack.all)
    if running and not as_json:
        console.print(Text("Stopping; once more kills.", "dim"))
    stop_asked.interrupting = True
    try:
        stack.stop()
    except KeyboardInterrupt:
        stop_asked.interrupting = False
        stack.kill()
    stop_asked.interrupting = False
    if as_json:
        print_json({"state": "stopped"})
    elif running:
        console.print(f"Stopped. The data is kept in {stack.data}.", soft_wrap=True)
