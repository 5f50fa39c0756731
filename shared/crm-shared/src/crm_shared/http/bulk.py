"""Imports: NDJSON in, NDJSON out, one line for each line, thousands of lines in few transactions."""

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import IO, Any, TypeVar

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError

from crm_shared.application.command import Command, Outcome, Submission
from crm_shared.domain.errors import RelataError
from crm_shared.http import problems
from crm_shared.http.commands import Caller, positioned
from crm_shared.http.requests import BODY_LIMIT, limited, require_content_type
from crm_shared.http.strict_json import parse_json
from crm_shared.http.validation import from_validation

M = TypeVar("M", bound=BaseModel)

_Chunk = tuple[list[tuple[int, Submission[Any] | RelataError]], asyncio.Future[list[Outcome[Any] | Exception]]]
"""Numbered lines as commands to run, or what is wrong with them; and the results of those commands."""

log = logging.getLogger(__name__)

NDJSON = "application/x-ndjson"
IMPORT_LIMIT = 256 * 1024 * 1024
# Small, so that the lines ahead are prepared whenever the writer waits for PostgreSQL; it stores several at once.
LINES_PER_CHUNK = 100
CHUNKS_AT_ONCE = 5
_SPOOLED_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One JSON object per line",
        "content": {NDJSON: {"schema": {"type": "string"}}},
    }
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "For each line its number with what was stored, or with its error; a bad line stops nothing",
        "content": {NDJSON: {"schema": {"type": "string"}}},
    },
    **problems.documented(413, 415, 422, 503),
}


async def import_lines(
    request: Request, caller: Caller, model: type[M], to_command: Callable[[M], Command[Any]]
) -> Response:
    """Run one command per line of the request's body and answer each line.

    Lines are decided in their order, some hundreds per transaction. The answer begins when the whole body has
    been read, so a client may send everything before it reads anything.
    """
    require_content_type(request, NDJSON, "application/ndjson", "application/jsonl")
    # `_contents` closes it after the last byte; a request that fails before closes it here.
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115
    try:
        storing: deque[_Chunk] = deque()
        async for lines in _chunks(_numbered_lines(request)):
            # The next lines are read and checked while these are being stored.
            if len(storing) == CHUNKS_AT_ONCE:
                spool.write(await _answers(storing.popleft()))
            chunk = [(number, _prepare(number, line, caller, model, to_command)) for number, line in lines]
            submissions = [prepared for _, prepared in chunk if isinstance(prepared, Submission)]
            storing.append((chunk, caller.writer.submit(submissions)))
        for stored in storing:
            spool.write(await _answers(stored))
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return StreamingResponse(_contents(spool), media_type=NDJSON)


def _prepare(
    number: int, line: bytes, caller: Caller, model: type[M], to_command: Callable[[M], Command[Any]]
) -> Submission[Any] | RelataError:
    try:
        if len(line) > BODY_LIMIT:
            raise problems.PayloadTooLarge(f"the line has {len(line)} bytes; a line may have {BODY_LIMIT}")
        command = to_command(model.model_validate(parse_json(line)))
        return caller.submission(command, request=line, part=str(number))
    except ValidationError as error:
        return from_validation([{**finding, "loc": ("body", *finding["loc"])} for finding in error.errors()], model)
    except RelataError as error:
        return error


async def _answers(stored: _Chunk) -> bytes:
    chunk, submitted = stored
    outcomes = iter(await submitted)
    answers = [
        (number, _said(next(outcomes) if isinstance(prepared, Submission) else prepared)) for number, prepared in chunk
    ]
    return b"".join([orjson.dumps({"line": number, **said}) + b"\n" for number, said in answers])


def _said(result: Outcome[Any] | Exception) -> dict[str, Any]:
    if isinstance(result, Outcome):
        return positioned(result)
    if isinstance(result, RelataError):
        return {"error": problems.summary(result)}
    log.error("a line of an import failed unexpectedly", exc_info=result)
    return {"error": {"code": "internal_error", "detail": "something went wrong here; it has been logged"}}


async def _numbered_lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """Lines with their numbers from 1; blank ones are counted and left out."""
    number, rest = 0, b""
    async for data in limited(request, IMPORT_LIMIT):
        *lines, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
        for line in lines:
            number += 1
            if line.strip():
                yield number, line
        if len(rest) > 2 * BODY_LIMIT:
            # Keep no more of an endless line than shows that it is too long.
            rest = rest[: BODY_LIMIT + 1]
    if rest.strip():
        yield number + 1, rest


async def _chunks(lines: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    async for line in lines:
        chunk.append(line)
        if len(chunk) == LINES_PER_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _contents(spool: IO[bytes]) -> AsyncIterator[bytes]:
    with spool:
        while data := spool.read(_READ_BYTES):
            yield data
