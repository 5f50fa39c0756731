"""What people see of a stack: the state of each process while it starts and serves, and what each service reports."""

import json
import time
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relata_local.processes import ManagedServer
from relata_local.stack import Stack

TITLES = {
    "postgres": "PostgreSQL: the events",
    "kafka": "Kafka broker: the bus",
    "mongodb": "document store: the views",
    "contacts": "identify",
    "interactions": "interact",
    "segmentation": "differentiate",
    "feedback": "listen",
    "customer360": "see",
}


class StackDisplay:
    """The state of every process of a stack, as a table that can be drawn at any time."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self.ready_after: dict[str, float] = {}

    def note_ready(self, server: ManagedServer) -> None:
        """Remember how long it took until this one was ready."""
        self.ready_after[server.name] = time.monotonic() - self._began

    def state(self, server: ManagedServer) -> str:
        """One word: waiting, starting, ready, or exited."""
        if server.pid is None:
            return "waiting"
        if not server.running:
            return "exited"
        return "ready" if server.name in self.ready_after else "starting"

    def as_json(self) -> dict[str, Any]:
        return {
            server.name: {
                "state": self.state(server),
                "address": server.address,
                "pid": server.pid,
                "ready_after_seconds": round(self.ready_after.get(server.name, 0.0), 3),
                "log": str(server.log_file),
            }
            for server in self._stack.all
        }

    def __rich__(self) -> Table:
        table = Table(title=f"Relata, data in {self._stack.data}", title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("process", "does", "state", "address"):
            table.add_column(column, overflow="fold")
        for server in self._stack.all:
            table.add_row(server.name, TITLES[server.name], self._state_text(server), server.address)
        return table

    def _state_text(self, server: ManagedServer) -> Text:
        state = self.state(server)
        if state == "ready":
            return Text(f"ready after {self.ready_after[server.name]:.1f} s", "green")
        if state == "exited":
            return Text(f"exited ({server.exit_code})", "bold red")
        waits_for = f": {server.waits_for}" if server.waits_for else ""
        return Text(f"{state}{waits_for}", "yellow" if state == "starting" else "dim")


def status_table(status: Mapping[str, Mapping[str, Any]]) -> Table:
    """Per service: what it stored and published, and how far each of its projections is."""
    table = Table(title="What each service stored, published and applied", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("service", no_wrap=True)
    for column in ("events", "position", "published"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("projection", overflow="fold")
    for column in ("lag", "parked"):
        table.add_column(column, justify="right", no_wrap=True)
    for service, report in status.items():
        if "error" in report:
            table.add_row(service, Text(str(report["error"]), "red"))
            continue
        head = [
            service,
            *(_number(report.get(key)) for key in ("events_stored", "last_position", "published_position")),
        ]
        for projection in report.get("projections") or [{}]:
            lag, parked = projection.get("lag"), projection.get("parked")
            table.add_row(
                *head,
                str(projection.get("name", "-")).removeprefix(f"{service}-service."),
                Text(_number(lag), "yellow" if lag else "green"),
                Text(_number(parked), "bold red" if parked else "green"),
            )
            head = [""] * len(head)
    return table


def print_failure(console: Console, message: str, details: str) -> None:
    """One line that says what is wrong, after the lines of the log that explain it."""
    if details:
        console.print(Text(details, "dim"), soft_wrap=True)
    console.print(Text(f"crm: {message}", "bold red"), soft_wrap=True)


def print_json(value: Any) -> None:
    """One line for machines, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
