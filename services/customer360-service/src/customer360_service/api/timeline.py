"""A customer's timeline over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, Field

from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from crm_shared.http.views import view_of_one
from crm_shared.queries import View
from customer360_service import queries
from customer360_service.api.fields import CustomerId
from customer360_service.projections import CUSTOMERS

router = api_router()


class TimelineEntryOut(BaseModel):
    """One event of a customer's history."""

    event_id: str
    type: str = Field(examples=["PurchaseRecorded"])
    source: str = Field(examples=["interactions"], description="The service that published the event")
    occurred_at: datetime
    recorded_at: datetime
    position: int = Field(description="In the log of the source")
    summary: str = Field(examples=["Bought 2 × cd for 29.33 USD at cdnow"])
    data: dict[str, Any] = Field(description="The event's payload, without nulls and without the customer's id")


@router.get(
    "/v1/customers/{customer_id}/timeline",
    response_model=Page[TimelineEntryOut],
    responses=documented(404, 422, 503),
    tags=["customers"],
    summary="A customer's history from every source, by the time it happened, newest first",
)
async def get_timeline(
    customer_id: CustomerId,
    customers: Annotated[View, view_of_one(CUSTOMERS)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    items, next_cursor = await queries.timeline(customers, customer_id, limit=limit, cursor=cursor)
    return json_response(200, {"items": items, "next_cursor": next_cursor})
