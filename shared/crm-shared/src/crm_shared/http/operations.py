"""Operations over HTTP: health, readiness, metrics, the state of relay and projections, parked customers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from crm_shared.domain.errors import NotFound
from crm_shared.http.commands import json_response
from crm_shared.http.problems import documented
from crm_shared.http.requests import StrictRoute

Check = Callable[[], Awaitable[None]]

CHECK_SECONDS = 3.0

router = APIRouter(tags=["operations"], route_class=StrictRoute)
# Probes and scrapers may be configured to add parameters of their own; nothing depends on them.
probes = APIRouter(tags=["operations"])


async def run_checks(checks: Mapping[str, Check]) -> list[dict[str, Any]]:
    """The result of each readiness check: name, ok, and the error if any."""

    async def run(name: str, check: Check) -> dict[str, Any]:
        try:
            await asyncio.wait_for(check(), CHECK_SECONDS)
        except Exception as error:  # any failure of a check is its result
            return {"check": name, "ok": False, "error": f"{type(error).__name__}: {error}"}
        return {"check": name, "ok": True}

    return list(await asyncio.gather(*(run(name, check) for name, check in checks.items())))


@probes.get("/healthz", summary="Whether the process is alive")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@probes.get("/readyz", summary="Whether stores and bus can be reached", responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Response:
    results = await run_checks(request.app.state.runtime.checks)
    ready = all(result["ok"] for result in results)
    return json_response(200 if ready else 503, {"ready": ready, "checks": results})


@probes.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/operations/status",
    summary="The log, what of it is published, and the lag of each projection",
    responses=documented(503),
)
async def status(request: Request) -> Response:
    return json_response(200, await request.app.state.runtime.status())


@router.get("/v1/operations/parked", summary="Customers whose events could not be applied", responses=documented(503))
async def parked(request: Request) -> Response:
    items = [
        customer for consumer in request.app.state.runtime.consumers for customer in await consumer.parking.report()
    ]
    return json_response(200, {"items": items})


@router.post(
    "/v1/operations/parked/{projection}/{customer_id}/release",
    status_code=202,
    summary="Apply a parked customer's dead letters again",
    responses=documented(404, 422, 503),
)
async def release(request: Request, projection: str, customer_id: str) -> Response:
    for consumer in request.app.state.runtime.consumers:
        if consumer.parking.projection == projection:
            await consumer.parking.request_release(customer_id)
            return json_response(202, {"projection": projection, "customer_id": customer_id, "release_requested": True})
    raise NotFound(f"this service has no projection {projection!r}")
