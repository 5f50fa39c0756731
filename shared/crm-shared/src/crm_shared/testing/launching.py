"""A service within a test's own process and event loop: its HTTP interface, its relay, its projectors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from crm_shared.http.app import create_app
from crm_shared.process import ROLES, Definition, Runtime, open_runtime
from crm_shared.settings import Settings


@dataclass
class Launched:
    """A service that runs; `client` reaches its HTTP interface."""

    client: httpx.AsyncClient
    runtime: Runtime
    tasks: "list[asyncio.Task[None]]"

    async def stop(self) -> None:
        """Stop its background roles, as a process that ends would."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def launched(definition: Definition, settings: Settings, roles: Sequence[str] = ROLES) -> AsyncIterator[Launched]:
    """The service with these roles, until the end of the block."""
    async with contextlib.AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(definition, settings, roles))
        app = create_app(definition.service, definition.description, definition.routers)
        app.state.runtime = runtime
        transport = httpx.ASGITransport(app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=f"http://{definition.service}", timeout=60)
        )
        work: list[Any] = [runtime.relay.run()] if runtime.relay else []
        work += [consumer.run() for consumer in runtime.consumers if "project" in roles]
        service = Launched(client, runtime, [asyncio.create_task(one) for one in work])
        stack.push_async_callback(service.stop)
        yield service
