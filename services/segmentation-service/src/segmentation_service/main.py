"""Starts segmentation: `segmentation-service api|relay|project|run`."""

from crm_shared.process import Definition, run
from segmentation_service import api, publishing
from segmentation_service.policies import MEMBERSHIPS
from segmentation_service.projections import DEFINITIONS, FACTS, MEMBERS

DEFINITION = Definition(
    service="segmentation",
    description="Segments: what defines them, who belongs to them, and why.",
    port=8103,
    routers=api.ROUTERS,
    publish=publishing.publish,
    states=publishing.STATES,
    projections=[FACTS, DEFINITIONS, MEMBERS],
    policies=[MEMBERSHIPS],
)


def main() -> None:
    """The console command `segmentation-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
