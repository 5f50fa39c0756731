"""What makes up one service; its `main.py` says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from crm_shared.projections.projection import Applier, Projection
from crm_shared.publishing.publication import Publication, StatePublishing

if TYPE_CHECKING:
    from crm_shared.process.runtime import Runtime

ROLES = ("api", "relay", "project")


@dataclass(frozen=True)
class Definition:
    """What makes up one service; its `main.py` says it.

    `publish` is None for a service that owns no events.
    """

    service: str
    description: str
    port: int
    routers: Sequence[APIRouter]
    publish: Callable[[Any], Publication | None] | None = None
    states: StatePublishing | None = None
    projections: Sequence[Projection] = ()
    appliers: Callable[["Runtime"], Sequence[Applier]] = lambda _: ()

    @property
    def owns_events(self) -> bool:
        """Whether the service has an event store."""
        return self.publish is not None
