"""Reading requests: query parameters, content type, size and JSON are checked before anything else sees them."""

from collections.abc import AsyncIterator, Callable, Coroutine
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from crm_shared.domain.errors import InvalidInput
from crm_shared.http.problems import PayloadTooLarge, UnsupportedMediaType
from crm_shared.http.strict_json import parse_json
from crm_shared.http.validation import shown, suggestion

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


class StrictRoute(APIRoute):
    """A route that takes the query parameters that it declares, and JSON as RFC 8259 has it, and nothing else."""

    body_limit: ClassVar[int] = BODY_LIMIT

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        parameters = _query_parameters(self.dependant)
        takes_json = self.body_field is not None

        async def handle(request: Request) -> Response:
            if request.scope["query_string"]:
                check_parameters(request, parameters)
            if not takes_json:
                return await handler(request)
            require_content_type(request, *_JSON_TYPES)
            raw = await read_body(request, self.body_limit)
            return await handler(JsonRequest(request.scope, request.receive, raw, parse_json(raw)))

        return handle


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """The query parameters of an endpoint and of what it depends on: whether each may be given several times."""
    return {
        field.alias: _is_list(field.field_info.annotation)
        for field in get_flat_params(dependant)
        if isinstance(field.field_info, params.Query)
    }


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Union or origin is UnionType:
        return any(_is_list(member) for member in get_args(annotation))
    return origin in (list, set, tuple)


def check_parameters(request: Request, parameters: dict[str, bool]) -> None:
    """Raise `InvalidInput` for a query parameter that is not one of these, or is given twice and may not be.

    One that nobody reads would be ignored in silence, and of two values one.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in parameters:
            message = f"this endpoint has no query parameter {shown(name)}; {suggestion(name, sorted(parameters))}"
            raise InvalidInput.at(f"?{name}", "unknown_parameter", message)
        if name in seen and not parameters[name]:
            message = f"`{name}` is given more than once; this endpoint takes one value"
            raise InvalidInput.at(f"?{name}", "repeated_parameter", message)
        seen.add(name)


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
