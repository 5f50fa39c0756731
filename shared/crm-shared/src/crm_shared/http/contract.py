"""The public contract over HTTP: the events' schemas and their AsyncAPI description, the same from every service."""

from functools import cache
from typing import Any

from fastapi import APIRouter, Request, Response

from crm_contracts.schemas import committed, schema_text
from crm_contracts.tooling import asyncapi
from crm_shared.domain.errors import NotFound
from crm_shared.http.commands import json_response
from crm_shared.http.problems import documented
from crm_shared.http.requests import StrictRoute
from crm_shared.settings import Settings

router = APIRouter(tags=["contract"], route_class=StrictRoute)


@router.get(
    "/schemas",
    summary="The JSON Schemas of all public events, of every version",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def schemas() -> Response:
    return json_response(200, {"items": _index()})


@router.get(
    "/schemas/{service}/{event}/{version}.json",
    summary="The JSON Schema of a public event's payload",
    response_class=Response,
    responses={200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}}, **documented(404)},
)
async def schema(service: str, event: str, version: str) -> Response:
    text = schema_text(service, event, version)
    if text is None:
        raise NotFound(f"there is no schema {service}/{event}/{version}; GET /schemas lists them")
    return Response(text, media_type="application/schema+json")


# Not a coroutine: to write the document takes longer than other requests should wait.
@router.get(
    "/asyncapi.yaml",
    summary="The public events as AsyncAPI 3 describes them, with this installation's broker and partitions",
    response_class=Response,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}},
)
def asyncapi_document(request: Request) -> Response:
    settings: Settings = request.app.state.runtime.settings
    return Response(
        _rendered(settings.kafka_partitions, settings.kafka_bootstrap_servers, settings.kafka_security_protocol),
        media_type="application/yaml",
    )


@cache
def _index() -> list[dict[str, Any]]:
    return [
        {
            "type": key.ce_type,
            "service": key.service,
            "name": key.name,
            "version": f"{key.major}.{key.minor}",
            "path": f"/schemas/{key.path}",
        }
        for key in committed()
    ]


@cache
def _rendered(partitions: int, bootstrap_servers: str, security_protocol: str) -> str:
    installation = asyncapi.Installation(partitions, bootstrap_servers, secure=security_protocol != "PLAINTEXT")
    return asyncapi.render(asyncapi.document(installation))
