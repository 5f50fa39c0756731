"""Queries over HTTP: waiting for a position, and pages with cursors."""

import re
from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from crm_shared.domain.errors import InvalidInput

T = TypeVar("T")

_AFTER = re.compile(r"([a-z0-9]{1,32}):([0-9]{1,18})")


class Page(BaseModel, Generic[T]):
    """One page of results; `next_cursor` leads to the next, null at the end."""

    items: Sequence[T]
    next_cursor: str | None = Field(None, description="Give it as `cursor` for the next page")


async def after_positions(
    after: Annotated[
        list[Annotated[str, Field(json_schema_extra={"pattern": f"^{_AFTER.pattern}$"})]] | None,
        Query(
            max_length=8,
            description="Wait up to 5 s until the view has applied this position: `<service>:<position>`",
            examples=["contacts:1234"],
        ),
    ] = None,
) -> dict[str, int]:
    """The positions that the answer must include, per source."""
    positions: dict[str, int] = {}
    for source_position in after or ():
        match = _AFTER.fullmatch(source_position)
        if match is None:
            raise InvalidInput.at(
                "?after", "malformed_position", f"write <service>:<position>, not {source_position!r}"
            )
        positions[match[1]] = max(int(match[2]), positions.get(match[1], 0))
    return positions


AfterDep = Annotated[dict[str, int], Depends(after_positions)]
Limit = Annotated[int, Query(ge=1, le=500, description="Items per page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]
