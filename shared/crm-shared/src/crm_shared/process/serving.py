"""A service as a process: runs its roles until it is told to stop."""

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn

from crm_shared.http.app import create_app
from crm_shared.process.definition import Definition
from crm_shared.process.runtime import open_runtime
from crm_shared.settings import Settings


async def serve(definition: Definition, settings: Settings, roles: Sequence[str]) -> None:
    """Run the roles until the process is told to stop (SIGINT or SIGTERM)."""
    async with open_runtime(definition, settings, roles) as runtime:
        _calm_garbage_collection()
        routers = definition.routers if "api" in roles else ()
        app = create_app(definition.service, definition.description, routers)
        app.state.runtime = runtime
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=10,
            )
        )
        work = [asyncio.create_task(runtime.relay.run(), name="relay")] if runtime.relay else []
        if "project" in roles:
            work += [asyncio.create_task(consumer.run(), name=consumer.name) for consumer in runtime.consumers]
        # uvicorn raises the signal that has ended it once more, for whoever handled it before. By default that ends the
        # process at once: its projectors would not leave their groups, whose partitions wait for them then.
        former = {number: signal.signal(number, _has_been_heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            await server.serve()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


def _has_been_heard(number: int, frame: FrameType | None) -> None:
    """Nothing more: the server has ended because of it."""


def _calm_garbage_collection() -> None:
    """Look for cycles less often, and never among what was there from the start.

    A batch makes tens of thousands of objects that live until it is stored; with Python's defaults, walking them
    again and again takes a fifth of an import's time. Rarer still would keep the bodies of past requests, which
    hang in a few cycles, for too long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
