"""The view of definitions: one document per segment that was ever defined."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict

import orjson
from pymongo import IndexModel

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.segmentation import SegmentDefined, SegmentRetired
from crm_shared.projections import Document, Projection, unexpected


class DefinitionDocument(TypedDict):
    """A segment as it was defined last, and whether it is retired. `_id` is its key."""

    _id: NotRequired[str]
    segment_id: str
    name: str
    description: str | None
    condition: dict[str, Any]
    version: int
    defined_at: datetime
    retired: bool
    positions: NotRequired[dict[str, int]]


def segment_key(event: PublicEvent) -> str:
    """The key of the segment that the event is about."""
    match event.payload:
        case SegmentDefined(key=key) | SegmentRetired(key=key):
            return key
        case _:
            unexpected(event)


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The definition after the event."""
    match event.payload:
        case SegmentDefined() as defined:
            return {**(document or {}), **_definition(defined, event.occurred_at)}
        case SegmentRetired():
            return {**(document or {}), "retired": True}
        case _:
            unexpected(event)


def _definition(defined: SegmentDefined, at: datetime) -> DefinitionDocument:
    return {
        "segment_id": defined.segment_id,
        "name": defined.name,
        "description": defined.description,
        "condition": orjson.loads(defined.condition),
        "version": defined.version,
        "defined_at": at,
        "retired": False,
    }


DEFINITIONS = Projection(
    name="segmentation-service.definitions",
    events=[SegmentDefined, SegmentRetired],
    # Not `segments`: documents of that name, from before this view, are of another shape.
    collection="definitions",
    fold=fold,
    document_id=segment_key,
    # Projectors look for what is new by its position.
    indexes={"definitions": [IndexModel("retired"), IndexModel("positions.segmentation")]},
)
