"""What makes up one service; its `main.py` says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from crm_shared.postgres.eventstore import EventSourcedApplication
from crm_shared.projections.projection import Applier
from crm_shared.publishing.publication import Publication, StatePublishing

if TYPE_CHECKING:
    from crm_shared.process.runtime import Runtime

ROLES = ("api", "relay", "project")


@dataclass(frozen=True)
class Definition:
    """What makes up one service; its `main.py` says it.

    `application` and `publish` are None for a service that owns no events. `projections` makes the appliers
    once the connections are open.
    """

    service: str
    description: str
    port: int
    routers: Sequence[APIRouter]
    application: Callable[[dict[str, str]], EventSourcedApplication] | None = None
    publish: Callable[[Any], Publication | None] | None = None
    states: StatePublishing | None = None
    projections: Callable[["Runtime"], Sequence[Applier]] = lambda _: ()
