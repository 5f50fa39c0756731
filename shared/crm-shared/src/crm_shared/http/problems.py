"""Problem details (RFC 9457): the only place that maps error codes to status numbers."""

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg import OperationalError as PostgresError
from pydantic import BaseModel, Field
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from crm_shared.domain.errors import (
    Conflict,
    FieldError,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    PositionNotReached,
    RelataError,
    StoreUnavailable,
)
from crm_shared.http.validation import from_validation

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


class MalformedRequest(RelataError):
    """The body is not JSON at all."""

    code = "malformed_json"
    title = "The body is not valid JSON"


class DuplicateKey(MalformedRequest):
    """An object in the body has a name twice; `field` is where it stands, as a JSON pointer."""

    code = "duplicate_key"
    title = "A name stands twice in an object"

    def __init__(self, field: str) -> None:
        message = f"{field} stands more than once in its object: send it once"
        super().__init__(message, errors=[FieldError(field, self.code, message)])


class PayloadTooLarge(RelataError):
    """The body is larger than this endpoint takes."""

    code = "payload_too_large"
    title = "The body is too large"


class UnsupportedMediaType(RelataError):
    """The body's content type is not what this endpoint takes."""

    code = "unsupported_media_type"
    title = "The content type is not supported"


_STATUS: tuple[tuple[type[RelataError], int], ...] = (
    (MalformedRequest, 400),
    (NotFound, 404),
    (Conflict, 409),
    (PayloadTooLarge, 413),
    (UnsupportedMediaType, 415),
    (IdempotencyKeyReused, 422),
    (InvalidInput, 422),
    (PositionNotReached, 503),
    (StoreUnavailable, 503),
)
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_HTTP_TITLES = {404: "Not found", 405: "The method is not allowed here"}


class ProblemField(BaseModel):
    """One thing that is wrong with one field."""

    field: str = Field(description="JSON pointer into the body, `?name` of a query parameter, or `header:Name`")
    code: str
    message: str


class Problem(BaseModel):
    """Problem details after RFC 9457, with a stable code."""

    type: str = Field(examples=["/problems/not_found"])
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable: programs may rely on it", examples=["not_found"])
    instance: str = Field(description="The path of the request")
    errors: list[ProblemField] | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint for OpenAPI: problem details under each of these statuses."""
    return {
        status: {
            "model": Problem,
            "description": "Problem details",
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def status_of(error: RelataError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def summary(error: RelataError) -> dict[str, Any]:
    """What a line of an import says of an error: code, detail, and the fields concerned."""
    said: dict[str, Any] = {"code": error.code, "detail": error.detail}
    if error.errors:
        said["errors"] = [_field(field_error) for field_error in error.errors]
    return {**said, **error.extra}


def problem(status: int, code: str, title: str, detail: str, instance: str, **members: Any) -> Response:
    """A problem document as a response; 503 asks to come back in a second."""
    document = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": instance,
        **members,
    }
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(orjson.dumps(document), status_code=status, media_type=PROBLEM_JSON, headers=headers)


def of_error(error: RelataError, instance: str) -> Response:
    """The problem document of an error."""
    members = dict(error.extra)
    if error.errors:
        members["errors"] = [_field(field_error) for field_error in error.errors]
    return problem(status_of(error), error.code, error.title, error.detail, instance, **members)


def install(app: FastAPI) -> None:
    """Make the application answer every error as a problem document."""

    async def relata_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RelataError)
        return of_error(error, request.url.path)

    async def store_error(request: Request, error: Exception) -> Response:
        log.warning("a store failed at %s %s: %s", request.method, request.url.path, error)
        return of_error(StoreUnavailable("a store cannot be reached; try again"), request.url.path)

    async def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        body = getattr(request.scope.get("route"), "body_field", None)
        expected = body.field_info.annotation if body else None
        return of_error(from_validation(error.errors(), expected), request.url.path)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        code = _HTTP_CODES.get(error.status_code, "http_error")
        title = _HTTP_TITLES.get(error.status_code, "The request cannot be answered")
        detail = str(error.detail)
        if error.status_code == 404:
            detail = "there is nothing at this path; /docs shows what there is"
        elif error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request))
            detail = f"{request.method} is not allowed here; use {headers['Allow']}"
        response = problem(error.status_code, code, title, detail, request.url.path)
        response.headers.update(headers)
        return response

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
        return problem(500, "internal_error", "Something went wrong here", "it has been logged", request.url.path)

    app.add_exception_handler(RelataError, relata_error)
    app.add_exception_handler(PyMongoError, store_error)
    app.add_exception_handler(PostgresError, store_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)


def _allowed(request: Request) -> list[str]:
    """The methods of the request's path; the framework names those of the first route only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return sorted(
        {
            method
            for route in routes
            if route.matches(request.scope)[0] is not Match.NONE
            for method in route.methods or ()
        }
    )


def _field(error: FieldError) -> dict[str, str]:
    return {"field": error.field, "code": error.code, "message": error.message}
