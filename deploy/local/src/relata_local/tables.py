"""Tables that stay readable: as wide as they need be in a pipe, without the lesser columns where it is narrow."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table

_WITHOUT_TERMINAL = 160  # columns; a pipe or a file has no width, and 80, which is common, cuts what a table says
_FOLDED = 30  # columns: what a cell that may take several lines is content with


def console(file: TextIO | None = None) -> Console:
    """As wide as the terminal; into a pipe or a file wide enough for every table; or as wide as COLUMNS says."""
    file = sys.stdout if file is None else file
    return Console(file=file, width=None if file.isatty() or os.environ.get("COLUMNS") else _WITHOUT_TERMINAL)


@dataclass(frozen=True)
class Column:
    """One column. `rank` says how much it matters: where it is narrow the highest goes first, and 0 never goes.

    A cell of a `folding` column may take several lines.
    """

    title: str
    rank: int = 0
    justify: Literal["left", "right"] = "left"
    folding: bool = False


@dataclass
class FittingTable:
    """A table that leaves out columns until it fits."""

    title: str
    columns: Sequence[Column]
    caption: str | None = None
    rows: list[Sequence[RenderableType]] = field(default_factory=list)

    def add(self, *cells: RenderableType) -> None:
        """Add a row with one cell per column."""
        self.rows.append(cells)

    def __rich_console__(self, on: Console, options: ConsoleOptions) -> RenderResult:
        ranks = sorted({column.rank for column in self.columns if column.rank}, reverse=True)
        for highest in [*ranks, 0]:
            if self._width(self._table(highest, _FOLDED), on, options) <= options.max_width:
                break
        yield self._table(highest)

    def _table(self, highest: int, folded: int | None = None) -> Table:
        table = Table(title=self.title, title_justify="left", caption=self.caption, box=box.SIMPLE_HEAD)
        kept = [number for number, column in enumerate(self.columns) if column.rank <= highest]
        for number in kept:
            column = self.columns[number]
            overflow: Literal["fold", "ellipsis"] = "fold" if column.folding else "ellipsis"
            table.add_column(
                column.title,
                justify=column.justify,
                overflow=overflow,
                no_wrap=not column.folding,
                max_width=folded if column.folding else None,
            )
        for row in self.rows:
            table.add_row(*(row[number] for number in kept))
        return table

    @staticmethod
    def _width(table: Table, on: Console, options: ConsoleOptions) -> int:
        """The width that the table takes when nothing limits it."""
        return Measurement.get(on, options.update(width=10_000, max_width=10_000), table).maximum
