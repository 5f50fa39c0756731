"""The process that a rebuild starts: takes an order from standard input, then partitions, and answers each."""

import asyncio
import importlib
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from pymongo import AsyncMongoClient

from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import Document
from crm_shared.observability import logs
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.filling import Filler
from crm_shared.projections.filling_process import LENGTH, Order
from crm_shared.projections.projection import Projection


def main() -> None:
    """Work until standard input ends: whoever asked is gone then, or wants no more."""
    # A terminal sends it to every process; the one that asked decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever prints must not get into the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        asyncio.run(_fill(_receive(sys.stdin.buffer), answers))
    except EOFError:
        # It was wanted no more before it was told what to do.
        return
    except Exception as error:  # whoever asked raises it
        _answer(answers, error)
    # Another thread still reads standard input, which an orderly end would wait for.
    os._exit(1)


async def _fill(order: Order, answers: BinaryIO) -> None:
    declared = _projection_at(order.place)
    logs.configure(declared.name, level=order.settings.log_level, style=order.settings.log_format)
    asked: asyncio.Queue[int] = asyncio.Queue()
    listening = (asyncio.get_running_loop(), asked.put_nowait)
    threading.Thread(target=_listen, args=listening, daemon=True).start()
    kafka = Kafka(order.settings)
    async with AsyncMongoClient[Document](
        order.settings.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=3_000
    ) as client:
        database = client[order.database]
        projection = DocumentProjection(database, declared, partition_of=kafka.partition_of)
        async with Filler(projection, database, kafka, order.assignment) as filler:
            while True:
                _answer(answers, await filler.fill(await asked.get()))


def _listen(loop: asyncio.AbstractEventLoop, ask: Callable[[int], None]) -> None:
    try:
        while True:
            loop.call_soon_threadsafe(ask, _receive(sys.stdin.buffer))
    except EOFError:
        # There is nothing to save, and nobody to tell anything.
        os._exit(0)
    except RuntimeError:
        # The loop is closed: an error is being answered.
        return


def _projection_at(place: str) -> Projection:
    module, _, name = place.partition(":")
    projection: Projection = getattr(importlib.import_module(module), name)
    return projection


def _receive(stream: BinaryIO) -> Any:
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(header)
    return pickle.loads(stream.read(length))  # noqa: S301 - from the process that started this one


def _answer(answers: BinaryIO, message: object) -> None:
    try:
        pickled = pickle.dumps(message)
        pickle.loads(pickled)  # noqa: S301 - some errors can be written and not read
    except Exception:
        pickled = pickle.dumps(RuntimeError(repr(message)))
    answers.write(LENGTH.pack(len(pickled)) + pickled)
    answers.flush()


if __name__ == "__main__":
    main()
