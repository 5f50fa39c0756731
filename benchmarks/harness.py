"""How everything is measured: sides that take turns, ratios with their spread, and what a run may use."""

import contextlib
import statistics
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_shared.settings import Settings
from relata_local import EmbeddedServers

ROOT = Path(__file__).parent.parent

Side = Callable[[], Awaitable[float]]
"""Does its work once and returns its figure, most often a rate per second."""


@dataclass(frozen=True)
class Row:
    """One line of the result: figures of all rounds against a target.

    `figures` are ratios when `unit` is "x". `absolute` holds what the ratios come from, per side and round, in
    `absolute_unit`.
    """

    name: str
    what: str
    over: str
    figures: Sequence[float]
    target: float
    unit: str = "x"
    at_least: bool = True
    absolute: Mapping[str, Sequence[float]] = field(default_factory=dict)
    absolute_unit: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def met(self) -> bool:
        """Whether the median reaches the target."""
        return self.median >= self.target if self.at_least else self.median <= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "what": self.what,
            "over": self.over,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.figures),
            "highest": max(self.figures),
            "target": self.target,
            "at_least": self.at_least,
            "met": self.met,
            "figures": list(self.figures),
            "absolute": {side: list(figures) for side, figures in self.absolute.items()},
            "absolute_unit": self.absolute_unit,
            "note": self.note,
        }


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Round by round, so that a slow moment of the machine, which meets both sides, cancels out."""
    return [one / other for one, other in zip(over, under, strict=True)]


@dataclass
class Bench:
    """What one run is given."""

    folder: Path
    rounds: int = 5
    visible_seconds: float = 60.0
    memory_events: int = 100_000
    report: Callable[[str], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None
    _folders: int = 0

    def new_folder(self) -> Path:
        """An empty folder of its own."""
        self._folders += 1
        folder = self.folder / str(self._folders)
        folder.mkdir(parents=True)
        return folder

    @contextlib.contextmanager
    def servers(self) -> Iterator[EmbeddedServers]:
        """Fresh embedded servers: no benchmark meets another one's data."""
        self.report("starting servers")
        with EmbeddedServers(self.new_folder()) as running:
            yield running

    def settings(self, servers: EmbeddedServers, **changes: Any) -> Settings:
        """The settings of a service on these servers."""
        environment = {name.lower(): value for name, value in servers.environment().items()}
        return Settings.model_validate({**environment, **changes})

    async def take_turns(self, sides: Mapping[str, Side]) -> dict[str, list[float]]:
        """The figures of each side, round by round; the first round warms up, and every other one runs backwards."""
        figures: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(self.rounds + 1):
            for name in sides if number % 2 else reversed(list(sides)):
                self.report(f"round {number} of {self.rounds}: {name}" if number else f"warming up: {name}")
                figure = await sides[name]()
                self.note(f"{name} {figure:,.1f}")
                if number:
                    figures[name].append(figure)
        return figures
