"""Reading requests: content type, size, UTF-8 and strict JSON are checked before anything else sees the body."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from crm_shared.http.problems import MalformedRequest, PayloadTooLarge, UnsupportedMediaType

# With the envelope and the nulls that a rendered event adds, this stays below the contract's 64 KiB.
BODY_LIMIT = 40 * 1024
_JSON_TYPES = ("application/json", "application/merge-patch+json")


class JsonRequest(Request):
    """A request whose JSON body has been read and parsed."""

    def __init__(self, scope: Scope, receive: Receive, raw: bytes, parsed: Any) -> None:
        super().__init__(scope, receive)
        self._body = raw
        self._parsed = parsed

    async def json(self) -> Any:
        """The parsed body."""
        return self._parsed


class JsonRoute(APIRoute):
    """A route that takes JSON as RFC 8259 has it: no NaN, no invalid UTF-8, no other content type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def handle(request: Request) -> Response:
            require_content_type(request, *_JSON_TYPES)
            raw = await read_body(request, BODY_LIMIT)
            return await handler(JsonRequest(request.scope, request.receive, raw, parse_json(raw)))

        return handle


def require_content_type(request: Request, *accepted: str) -> None:
    """Raise `UnsupportedMediaType` unless the request's content type is one of these."""
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given not in accepted:
        raise UnsupportedMediaType(f"send {' or '.join(accepted)}, not {given or 'a body without a content type'}")


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; raises `PayloadTooLarge` beyond `limit` bytes without reading on."""
    chunks: list[bytes] = []
    async for chunk in limited(request, limit):
        chunks.append(chunk)
    return b"".join(chunks)


async def limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body in chunks; raises `PayloadTooLarge` when it is, or says it is, larger than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise PayloadTooLarge(f"the body has {declared} bytes; this endpoint takes {limit}")
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"the body has more than the {limit} bytes that this endpoint takes")
        yield chunk


def parse_json(raw: bytes) -> Any:
    """The JSON value; raises `MalformedRequest` with code `invalid_utf8` or `malformed_json`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            raw.decode()
        except UnicodeDecodeError as not_text:
            raise MalformedRequest(f"byte {not_text.start} is not UTF-8", code="invalid_utf8") from None
        raise MalformedRequest(str(error)) from None
