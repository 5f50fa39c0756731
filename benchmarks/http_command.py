"""A command over HTTP, durable, against a trivial validated POST and against a save per request."""

from functools import partial

from benchmarks.harness import Bench, Row, Side, ratios
from benchmarks.processes import RawServer, load
from relata_local.ports import free_port
from relata_local.processes import start_all, stop_all
from relata_local.services import ServiceProcess

NAME = "http"
SECONDS = 3.0


async def run(bench: Bench) -> list[Row]:
    """Three servers on the same stack take the same requests from the same generator."""
    with bench.servers() as servers:
        folder = bench.new_folder()
        service = ServiceProcess("interactions", free_port(), folder, servers.environment)
        service.role = "api"
        raw = [RawServer(kind, free_port(), folder, servers.environment()) for kind in ("trivial", "save")]
        everyone = [service, *raw]
        start_all(everyone)
        try:
            p99: list[float] = []

            async def rate(url: str, *, noting: bool) -> float:
                said = await load(url, "--seconds", str(SECONDS))
                if noting:
                    p99.append(said["p99_ms"])
                return float(said["rate"])

            sides: dict[str, Side] = {
                "command": partial(rate, service.address, noting=True),
                **{one.name: partial(rate, one.address, noting=False) for one in raw},
            }
            figures = await bench.take_turns(sides)
        finally:
            stop_all(everyone)
    return [
        Row(
            "http",
            "HTTP command, 32 connections, durable",
            "a trivial validated POST on the same stack",
            ratios(figures["command"], figures["trivial"]),
            0.35,
            absolute={"command": figures["command"], "trivial": figures["trivial"]},
            absolute_unit="requests/s",
            note=f"p99 of the command {max(p99[1:]):.0f} ms at most",
        ),
        Row(
            "http-save",
            "the same",
            "a thread and a save per request, default recorder",
            ratios(figures["command"], figures["save"]),
            2.5,
            absolute={"command": figures["command"], "save": figures["save"]},
            absolute_unit="requests/s",
        ),
    ]
