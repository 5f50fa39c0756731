"""Starts interactions: `interactions-service api|relay|project|run`."""

from crm_shared.process import Definition, run
from interactions_service import api, publishing
from interactions_service.projections import ACTIVITIES

DEFINITION = Definition(
    service="interactions",
    description="What was said and bought: interactions and purchases.",
    port=8102,
    routers=[api.router],
    publish=publishing.publish,
    projections=[ACTIVITIES],
)


def main() -> None:
    """The console command `interactions-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
