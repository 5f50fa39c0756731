"""Commands over HTTP: their context and idempotency key, and the answer with its log position."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from crm_shared.application.command import Command, IdempotencyKey, Outcome, R, Submission
from crm_shared.application.writer import Writer
from crm_shared.domain.context import ANONYMOUS, CommandContext, new_id, new_traceparent
from crm_shared.domain.errors import InvalidInput

_HEADER_LIMIT = 200
_OPAQUE = re.compile(r"[A-Za-z0-9._:@/+=-]+")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

# The headers of commands, as OpenAPI has them.
HEADERS = [
    {
        "name": name.lower(),
        "in": "header",
        "required": False,
        "schema": {"anyOf": [{"type": "string", "maxLength": _HEADER_LIMIT}, {"type": "null"}], "title": name} | about,
        **about,
    }
    for name, about in {
        "Idempotency-Key": {"description": "Makes a retry safe"},
        "X-Correlation-Id": {},
        "X-Causation-Id": {},
        "X-Actor-Id": {"description": "Opaque id, never a name"},
        "Traceparent": {"description": "W3C trace context"},
    }.items()
]


@dataclass(frozen=True, slots=True)
class Caller:
    """What the headers of a command say: who, why, and whether it is a retry."""

    service: str
    writer: Writer
    actor: str
    correlation_id: str
    causation_id: str
    traceparent: str
    idempotency_key: str | None
    method: str
    path: str

    def submission(self, command: Command[R], *, request: bytes = b"", part: str = "") -> Submission[R]:
        """The command as the writer takes it; with an idempotency key, decided at most once for it.

        `request` is the body whose retry is recognised; `part` tells the lines of one import apart.
        """
        context = CommandContext(
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            actor=self.actor,
            traceparent=self.traceparent,
        )
        if self.idempotency_key is None:
            return Submission(command, context)
        fingerprint = hashlib.sha256(b"\0".join((self.method.encode(), self.path.encode(), request))).hexdigest()
        key = f"{self.idempotency_key}#{part}" if part else self.idempotency_key
        return Submission(command, context, IdempotencyKey(self.service, self.actor, key, fingerprint))


class CommandCall:
    """One command request: `await call.answer(RecordPurchase(facts))` runs it and renders the response."""

    def __init__(self, caller: Caller, request: Request) -> None:
        self._caller = caller
        self._request = request

    async def answer(self, command: Command[Any]) -> Response:
        """Decide durably, then answer with the result and its log position: 201 if it created something, else 200."""
        submission = self._caller.submission(command, request=await self._request.body())
        outcome = await self._caller.writer.run(submission)
        return json_response(201 if getattr(outcome.value, "created", False) else 200, positioned(outcome))


def positioned(outcome: Outcome[Any]) -> dict[str, Any]:
    """The fields of a command's result, with the log position: what requests and lines of imports answer alike."""
    answer: dict[str, Any] = {field.name: getattr(outcome.value, field.name) for field in fields(outcome.value)}
    answer["position"] = outcome.position
    return answer


def json_response(status: int, body: Any) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


async def read_caller(request: Request) -> Caller:
    """The caller of the command at hand, from its headers (`HEADERS`)."""
    runtime = request.app.state.runtime
    # Asked for one by one, each header would be searched for among all; of one given twice the first counts.
    given = dict(reversed(request.headers.raw))
    traceparent = _header(given, "traceparent")
    return Caller(
        service=runtime.service,
        writer=runtime.writer,
        actor=_opaque(given, "X-Actor-Id") or ANONYMOUS,
        correlation_id=_opaque(given, "X-Correlation-Id") or new_id(),
        causation_id=_opaque(given, "X-Causation-Id") or "",
        # A trace context that cannot be read is replaced, as its specification asks.
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else new_traceparent(),
        idempotency_key=_opaque(given, "Idempotency-Key"),
        method=request.method,
        path=request.scope["path"],
    )


async def command_call(request: Request) -> CommandCall:
    """The command request at hand."""
    return CommandCall(await read_caller(request), request)


CallerDep = Annotated[Caller, Depends(read_caller)]
CommandDep = Annotated[CommandCall, Depends(command_call)]


def document_headers(router: APIRouter) -> None:
    """Add the headers of commands to what OpenAPI says of the router's commands.

    They are not parameters of a dependency: FastAPI took 65 us per request to find that none of the five was there.
    """
    for route in router.routes:
        if isinstance(route, APIRoute) and any(
            dependency.call in (read_caller, command_call) for dependency in route.dependant.dependencies
        ):
            route.openapi_extra = {**(route.openapi_extra or {}), "parameters": HEADERS}


def _header(given: Mapping[bytes, bytes], name: str) -> str | None:
    value = given.get(name.lower().encode())
    if value is None:
        return None
    if len(value) > _HEADER_LIMIT:
        raise InvalidInput.at(f"header:{name}", "malformed_header", f"use at most {_HEADER_LIMIT} characters")
    return value.decode("latin-1")


def _opaque(given: Mapping[bytes, bytes], name: str) -> str | None:
    value = _header(given, name)
    if value is not None and not _OPAQUE.fullmatch(value):
        message = "use 1 to 200 of the characters A-Z a-z 0-9 . _ : @ / + = -"
        raise InvalidInput.at(f"header:{name}", "malformed_header", message)
    return value
