"""Segments: how they are defined, retired, tried and shown."""

from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, Field, StringConstraints

from crm_shared.http.app import api_router
from crm_shared.http.commands import CommandDep, json_response
from crm_shared.http.fields import Name, RequestModel
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from segmentation_service import queries
from segmentation_service.api.views import DecidedViews, SegmentKey
from segmentation_service.application import DefineSegment, RetireSegment
from segmentation_service.conditions import parse, to_json
from segmentation_service.domain import SegmentFacts

# A condition bounds its leaves and what it stores: of one that is too large, that says more than the body's bytes.
router = api_router(body_limit=256 * 1024)

_CONDITION = Field(
    description="A tree of `all`, `any`, `not` and leaves `{field, op, value}`; see /v1/fields",
    examples=[{"field": "purchases.count", "op": "gte", "value": 2}],
    json_schema_extra={"type": "object"},
)


class SegmentIn(RequestModel):
    """A segment's definition."""

    name: Name = Field(examples=["Big spenders"])
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None
    condition: Any = _CONDITION

    def to_facts(self, key: str) -> SegmentFacts:
        """The definition in the terms of the domain; raises `ConditionError`."""
        return SegmentFacts(key, self.name, self.description, to_json(parse(self.condition)))


class PreviewIn(RequestModel):
    """A condition to try."""

    condition: Any = _CONDITION


class DefinedOut(BaseModel):
    """A definition that was stored."""

    segment_id: str
    key: str
    version: int
    created: bool = Field(description="Whether the segment is new")
    position: int


class RetiredOut(BaseModel):
    """A segment that was retired."""

    segment_id: str
    key: str
    position: int


class EvaluatedOut(BaseModel):
    """How far the evaluation of everybody is."""

    done: int
    total: int


class SegmentOut(BaseModel):
    """A segment in use."""

    key: str
    segment_id: str
    name: str
    description: str | None
    condition: dict[str, Any]
    version: int
    status: str = Field(description="evaluating, or ready")
    members: int
    evaluated: EvaluatedOut
    defined_at: str


class PreviewOut(BaseModel):
    """Who would be a member."""

    count: int
    total: int
    sample: list[str]


@router.put(
    "/v1/segments/{key}",
    response_model=DefinedOut,
    responses={201: {"model": DefinedOut, "description": "A new segment"}, **documented(400, 409, 413, 415, 422, 503)},
    tags=["segments"],
    summary="Define a segment; everybody is evaluated in the background",
)
async def define(key: SegmentKey, body: SegmentIn, call: CommandDep) -> Response:
    return await call.answer(DefineSegment(body.to_facts(key)))


@router.delete(
    "/v1/segments/{key}",
    response_model=RetiredOut,
    responses=documented(404, 409, 422, 503),
    tags=["segments"],
    summary="Retire a segment; its members leave in the background",
)
async def retire(key: SegmentKey, call: CommandDep) -> Response:
    return await call.answer(RetireSegment(key))


@router.get(
    "/v1/segments",
    response_model=Page[SegmentOut],
    responses=documented(422, 503),
    tags=["segments"],
    summary="The segments in use",
)
async def list_segments(views: DecidedViews, limit: Limit = 50, cursor: Cursor = None) -> Response:
    definitions, members, _ = views
    return json_response(200, await queries.segments(definitions, members, limit=limit, cursor=cursor))


@router.post(
    "/v1/segments/preview",
    response_model=PreviewOut,
    responses=documented(400, 413, 415, 422, 503),
    tags=["segments"],
    summary="Who would be a member; nothing is stored",
)
async def preview(body: PreviewIn, views: DecidedViews) -> Response:
    *_, facts = views
    return json_response(200, await queries.preview(facts, parse(body.condition)))


@router.get(
    "/v1/segments/{key}",
    response_model=SegmentOut,
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="A segment, its size, and the progress of its evaluation",
)
async def get_segment(key: SegmentKey, views: DecidedViews) -> Response:
    definitions, members, _ = views
    return json_response(200, await queries.segment(definitions, members, key))
