"""What makes up one service; its `main.py` says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from crm_shared.policies.policy import Policy, ViewPolicy, own_events
from crm_shared.projections.projection import Projection
from crm_shared.publishing.publication import Publication, StatePublishing

ROLES = ("api", "relay", "project")


@dataclass(frozen=True)
class Definition:
    """What makes up one service; its `main.py` says it.

    `publish` is None for a service that owns no events. Raises `ValueError` for a policy that reads events of the
    service itself: it may not react to what it caused.
    """

    service: str
    description: str
    port: int
    routers: Sequence[APIRouter]
    publish: Callable[[Any], Publication | None] | None = None
    states: StatePublishing | None = None
    projections: Sequence[Projection] = ()
    policies: Sequence[Policy | ViewPolicy] = ()

    def __post_init__(self) -> None:
        on_views = [policy.view.name for policy in self.policies if isinstance(policy, ViewPolicy)]
        if len(set(on_views)) < len(on_views) or set(on_views) - {projection.name for projection in self.projections}:
            raise ValueError(f"{self.service}: a view policy hangs on a projection of the service, one on each")
        for policy in self.policies:
            if own := own_events(self.service, policy):
                raise ValueError(f"{policy.name} would react to {', '.join(own)}, which it may cause itself")

    @property
    def owns_events(self) -> bool:
        """Whether the service has an event store."""
        return self.publish is not None
