"""What people see of a stack: the state of each process while it starts and serves, and what each service reports."""

import json
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from relata_local.health import DEAD, OK, StackHealth
from relata_local.processes import ManagedServer
from relata_local.services import INSTALLED
from relata_local.stack import Stack
from relata_local.tables import Column, FittingTable

TITLES = {
    "postgres": "PostgreSQL: the events",
    "kafka": "Kafka broker: the bus",
    "mongodb": "document store: the views",
}


class StackDisplay:
    """The state of every process of a stack, as a table that can be drawn at any time."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self.ready_after: dict[str, float] = {}

    def note_ready(self, server: ManagedServer) -> None:
        """Remember how long it took until this server was ready."""
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

    def __rich__(self) -> FittingTable:
        columns = [Column("process"), Column("does", rank=2), Column("state", folding=True), Column("address", rank=1)]
        table = FittingTable(f"Relata, data in {self._stack.data}", columns)
        for server in self._stack.all:
            installed = INSTALLED.get(server.name)
            does = installed.purpose if installed else TITLES[server.name]
            table.add(server.name, does, self._state_text(server), server.address)
        return table

    def _state_text(self, server: ManagedServer) -> Text:
        state = self.state(server)
        if state == "ready":
            return Text(f"ready after {self.ready_after[server.name]:.1f} s", "green")
        if state == "exited":
            return Text(f"exited ({server.exit_code})", "bold red")
        waits_for = f": {server.waits_for}" if server.waits_for else ""
        return Text(f"{state}{waits_for}", "yellow" if state == "starting" else "dim")


def status_tables(health: StackHealth) -> Iterator[FittingTable]:
    """Which servers are there; and per service its health, what it stored and published, and its projections."""
    if health.servers:
        servers = FittingTable("Servers", [Column("server"), Column("does", rank=1), Column("health")])
        for name, state in health.servers.items():
            servers.add(name, TITLES.get(name, ""), _health_text(state, state))
        yield servers
    columns = [
        Column("service"),
        Column("health", folding=True),
        Column("events", rank=2, justify="right"),
        Column("position", rank=3, justify="right"),
        Column("published", rank=4, justify="right"),
        Column("projection", rank=1),
        Column("lag", justify="right"),
        Column("parked", justify="right"),
    ]
    services = FittingTable("What each service stored, published and applied", columns)
    for name, service in health.services.items():
        report = service.report
        numbers = (_number(report.get(key)) for key in ("events_stored", "last_position", "published_position"))
        head: list[RenderableType] = [name, _health_text(service.state, service.text), *numbers]
        for projection in report.get("projections") or [{}]:
            lag, parked = projection.get("lag"), projection.get("parked")
            services.add(
                *head,
                str(projection.get("name", "-")).removeprefix(f"{name}-service."),
                _lag_text(lag) if projection else "-",
                Text(_number(parked), "bold red" if parked else "green"),
            )
            head = [""] * len(head)
    yield services


def _health_text(state: str, text: str) -> Text:
    return Text(text, {OK: "green", DEAD: "bold red"}.get(state, "yellow"))


def _lag_text(lag: int | None) -> Text:
    return Text("unknown", "yellow") if lag is None else Text(_number(lag), "yellow" if lag else "green")


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
