"""The members of segments, and why somebody is one or not."""

from typing import Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from segmentation_service import queries
from segmentation_service.api.views import DecidedViews, SegmentKey

router = api_router()


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


@router.get(
    "/v1/segments/{key}/members",
    response_model=Page[MemberOut],
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="The members of a segment",
)
async def list_members(key: SegmentKey, views: DecidedViews, limit: Limit = 50, cursor: Cursor = None) -> Response:
    definitions, members, _ = views
    return json_response(200, await queries.members_of(definitions, members, key, limit=limit, cursor=cursor))


@router.get(
    "/v1/segments/{key}/customers/{customer_id}",
    response_model=WhyOut,
    responses=documented(404, 422, 503),
    tags=["segments"],
    summary="Whether a customer is a member, since when, and why",
)
async def why(key: SegmentKey, customer_id: UUID, views: DecidedViews) -> Response:
    return json_response(200, await queries.why(*views, key, customer_id))
