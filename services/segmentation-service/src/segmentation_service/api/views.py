"""What the endpoints of segmentation have in common: the key in the path, and the views that they read."""

from typing import Annotated

from fastapi import Path
from pydantic import StringConstraints

from crm_shared.http.views import views_of_decisions
from crm_shared.queries import View
from segmentation_service.projections import DEFINITIONS, FACTS, MEMBERS

SegmentKey = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$"),
    Path(description="The segment's key: lower-case letters, digits, _ and -", examples=["big-spenders"]),
]

DecidedViews = Annotated[tuple[View, View, View], views_of_decisions(DEFINITIONS, MEMBERS, by=FACTS)]
"""Definitions, members, facts: with `?after=interactions:1` all that was decided up to there is included."""
