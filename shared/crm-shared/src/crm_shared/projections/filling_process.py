"""A process of its own that fills a generation, so that a rebuild uses every processor: started, asked, ended."""

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from dataclasses import dataclass
from typing import Any

from crm_shared.domain.errors import RelataError
from crm_shared.projections.filling import Assignment, FilledPartition
from crm_shared.projections.projection import Projection
from crm_shared.settings import Settings

LENGTH = struct.Struct(">Q")
"""Before each message, which is pickled: both ends are the same code."""
WORKER = "crm_shared.projections.filling_worker"


class FillingEnded(RelataError):
    """A process that folded was ended before it was done."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do; `place` is where it finds the projection."""

    settings: Settings
    database: str
    place: str
    assignment: Assignment


def place_of(declared: Projection) -> str | None:
    """Where another process finds a projection, as `module:NAME`; None when it is no constant of a module.

    It is looked for where its fold is, in the packages around that, and in the rest of the outermost one.
    """
    parts = getattr(declared.fold, "__module__", "").split(".")
    if parts[0] == "__main__":
        return None
    around = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    others = sorted(name for name in sys.modules if name.partition(".")[0] == parts[0])
    for name in dict.fromkeys([*around, *others]):
        for attribute, value in vars(sys.modules[name]).items() if name in sys.modules else ():
            if value is declared:
                return f"{name}:{attribute}"
    return None


class FillingProcess:
    """Fills one partition after the other in another process; an async context manager that ends it."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "FillingProcess":
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # What can be imported here can be imported there.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._started()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()

    def begin(self, order: Order) -> None:
        """Say what it is to do."""
        self._send(order)

    async def fill(self, partition: int) -> FilledPartition:
        """As a `Filler` does, and raising what it raises; `FillingEnded` when the process is gone."""
        self._send(partition)
        answer = await self._receive()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, FilledPartition)
        return answer

    def _send(self, message: object) -> None:
        stdin = self._started().stdin
        assert stdin is not None
        if not stdin.is_closing():
            pickled = pickle.dumps(message)
            stdin.write(LENGTH.pack(len(pickled)) + pickled)

    async def _receive(self) -> Any:
        process = self._started()
        assert process.stdout is not None
        try:
            (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
            return pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - it is our own process
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            message = f"a process that folds ended with {await process.wait()}; the live view is as it was"
            raise FillingEnded(message) from error

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the process is not started")
        return self._process
