"""Views as endpoints ask for them: one dependency waits for `?after=` and hands over the live view."""

from typing import Any

from fastapi import Depends, Request

from crm_shared.http.queries import AfterDep
from crm_shared.projections.projection import Projection
from crm_shared.queries.views import View, Views


def view_of_all(projection: Projection) -> Any:
    """A dependency for queries over many: `?after=` includes everything up to that position."""
    return _dependency(projection, of_all=True)


def view_of_one(projection: Projection) -> Any:
    """A dependency for queries about one customer or thing: `?after=` includes the event at that position."""
    return _dependency(projection, of_all=False)


def views_of_decisions(*decided: Projection, by: Projection) -> Any:
    """A dependency for queries over what this service decided by one of its views: the views `decided`, then `by`.

    `?after=` takes positions of both: with one of what `by` is made from, all decisions that followed are included.
    """

    async def opened(request: Request, after: AfterDep) -> tuple[View, ...]:
        views: Views = request.app.state.runtime.views
        return await views.open_decided(decided, by, after)

    return Depends(opened)


def _dependency(projection: Projection, *, of_all: bool) -> Any:
    async def opened(request: Request, after: AfterDep) -> View:
        views: Views = request.app.state.runtime.views
        return await views.open(projection, after, of_all=of_all)

    return Depends(opened)
