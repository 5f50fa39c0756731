"""The HTTP interface of segmentation."""

from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from crm_shared.application import Answer, Unit
from crm_shared.http.app import api_router
from crm_shared.http.commands import CommandDep, json_response
from crm_shared.http.fields import Name, RequestModel
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep, Cursor, Limit, Page
from segmentation_service.application import Segmentation
from segmentation_service.conditions import catalogue, parse, to_json
from segmentation_service.domain import Segment
from segmentation_service.projections import NAME
from segmentation_service.queries import Segments

router = api_router()

SegmentKey = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$"),
    Path(description="The segment's key: lower-case letters, digits, _ and -", examples=["big-spenders"]),
]
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


class PreviewIn(RequestModel):
    """A condition to try."""

    condition: Any = _CONDITION


class DefinedOut(BaseModel):
    """A definition that was stored."""

    segment_id: str
    key: str
    version: int
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


class MemberOut(BaseModel):
    """A member."""

    customer_id: str
    since: str


class WhyOut(BaseModel):
    """Whether a customer is a member, and why."""

    customer_id: str
    segment: str
    member: bool
    since: str | None
    definition_version: int
    why: dict[str, Any] = Field(description="The condition; each node with its result, each leaf with the actual value")


class PreviewOut(BaseModel):
    """Who would be a member."""

    count: int
    total: int
    sample: list[str]


class FieldOut(BaseModel):
    """Something that a condition can name."""

    field: str
    type: str
    operators: list[str]
    description: str


class FieldsOut(BaseModel):
    """Everything that a condition can name."""

    items: list[FieldOut]


async def _segments(request: Request, after: AfterDep) -> Segments:
    """The views, once they have applied what the query asks for."""
    runtime = request.app.state.runtime
    segments = Segments(runtime.database, runtime.kafka.partitions)
    if own := after.pop("segmentation", 0):
        await segments.wait_for_definitions(own)
    await runtime.progress(NAME).wait_for(after)
    return segments


SegmentsDep = Annotated[Segments, Depends(_segments)]


@router.put(
    "/v1/segments/{key}",
    response_model=DefinedOut,
    responses={201: {"model": DefinedOut, "description": "A new segment"}, **documented(400, 409, 413, 415, 422, 503)},
    tags=["segments"],
    summary="Define a segment; everybody is evaluated in the background",
)
async def define(request: Request, key: SegmentKey, body: SegmentIn, call: CommandDep) -> Response:
    condition = to_json(parse(body.condition))
    segmentation = cast(Segmentation, request.app.state.runtime.application)

    def decide(unit: Unit) -> Answer:
        defined = segmentation.define(unit, key, name=body.name, description=body.description, condition=condition)
        answer = {"segment_id": str(defined.segment_id), "key": key, "version": defined.version}
        return Answer(201 if defined.created else 200, answer)

    return await call.answer(decide, reads=(Segment.create_id(key),))


@router.delete(
    "/v1/segments/{key}",
    response_model=RetiredOut,
    responses=documented(404, 409, 422, 503),
    tags=["segments"],
    summary="Retire a segment; its members leave in the background",
)
async def retire(request: Request, key: SegmentKey, call: CommandDep) -> Response:
    segmentation = cast(Segmentation, request.app.state.runtime.application)

    def decide(unit: Unit) -> Answer:
        return Answer(200, {"segment_id": str(segmentation.retire(unit, key)), "key": key})

    return await call.answer(decide, reads=(Segment.create_id(key),))


@router.get(
    "/v1/segments",
    response_model=Page[SegmentOut],
    responses=documented(422, 503),
    tags=["segments"],
    summary="The segments in use",
)
async def list_segments(segments: SegmentsDep, limit: Limit = 50, cursor: Cursor = None) -> Response:
    return json_response(200, await segments.page(limit, cursor))


@router.post(
    "/v1/segments/preview",
    response_model=PreviewOut,
    responses=documented(400, 413, 415, 422, 503),
    tags=["segments"],
    summary="Who would be a member; nothing is stored",
)
async def preview(body: PreviewIn, segments: SegmentsDep) -> Response:
    return json_response(200, await segments.preview(parse(body.condition)))


@router.get("/v1/fields", response_model=FieldsOut, tags=["segments"], summary="What a condition can name")
async def fields() -> Response:
    items = [
        {"field": one.field, "type": one.type, "operators": list(one.operators), "description": one.description}
        for one in catalogue()
    ]
    return json_response(200, {"items": items})


@router.get(
    "/v1/segments/{key}",
    response_model=SegmentOut,
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="A segment, its size, and the progress of its evaluation",
)
async def get_segment(key: SegmentKey, segments: SegmentsDep) -> Response:
    return json_response(200, await segments.one(key))


@router.get(
    "/v1/segments/{key}/members",
    response_model=Page[MemberOut],
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="The members of a segment",
)
async def members(key: SegmentKey, segments: SegmentsDep, limit: Limit = 50, cursor: Cursor = None) -> Response:
    return json_response(200, await segments.members(key, limit, cursor))


@router.get(
    "/v1/segments/{key}/customers/{customer_id}",
    response_model=WhyOut,
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="Whether a customer is a member, since when, and why",
)
async def why(key: SegmentKey, customer_id: UUID, segments: SegmentsDep) -> Response:
    return json_response(200, await segments.why(key, customer_id))
