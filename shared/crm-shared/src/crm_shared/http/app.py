"""The HTTP application of a service: its routers, problem details, metrics."""

import time
from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_shared.http import contract, operations, pages, problems
from crm_shared.http.commands import document_headers
from crm_shared.http.requests import BODY_LIMIT, StrictRoute
from crm_shared.observability import metrics


class Measured:
    """ASGI middleware that counts and times requests by route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            metrics.HTTP_REQUESTS.labels(scope["method"], route, str(status)).inc()
            metrics.HTTP_SECONDS.labels(scope["method"], route).observe(time.perf_counter() - started)


def api_router(*, body_limit: int = BODY_LIMIT) -> APIRouter:
    """A router for a service's own endpoints: known query parameters, strict JSON in, problem details out.

    Bodies up to `body_limit` bytes are read. More than others take is for endpoints that bound what they store in
    another way, and say better than by its bytes what is too much.
    """
    if body_limit == BODY_LIMIT:
        return APIRouter(route_class=StrictRoute)
    return APIRouter(route_class=type("StrictRoute", (StrictRoute,), {"body_limit": body_limit}))


def create_app(service: str, description: str, routers: Sequence[APIRouter]) -> FastAPI:
    """The application; set `app.state.runtime` before it serves."""
    for router in routers:
        document_headers(router)
    app = FastAPI(
        title=f"Relata {service}",
        description=description,
        version="1",
        redoc_url=None,
        openapi_url="/openapi.json",
        # FastAPI's own page loads its scripts from the internet; `pages` has one that does not.
        docs_url=None,
        # The routes themselves, for FastAPI looks twice for a route in an included router.
        routes=[
            route
            for router in (*routers, operations.router, operations.probes, contract.router, pages.router)
            for route in router.routes
        ],
    )
    problems.install(app)
    app.add_middleware(Measured)
    return app
