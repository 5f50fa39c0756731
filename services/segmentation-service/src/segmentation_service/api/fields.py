"""The fields that conditions can name."""

from fastapi import Response
from pydantic import BaseModel

from crm_shared.http.app import api_router
from crm_shared.http.commands import json_response
from segmentation_service.conditions import catalogue

router = api_router()


class FieldOut(BaseModel):
    """Something that a condition can name."""

    field: str
    type: str
    operators: list[str]
    description: str


class FieldsOut(BaseModel):
    """Everything that a condition can name."""

    items: list[FieldOut]


@router.get("/v1/fields", response_model=FieldsOut, tags=["segments"], summary="What a condition can name")
async def fields() -> Response:
    items = [
        {"field": field.field, "type": field.type, "operators": list(field.operators), "description": field.description}
        for field in catalogue()
    ]
    return json_response(200, {"items": items})
