"""The process of interactions-service: what it is made of, and its command line."""

from crm_shared.service import Definition, run
from interactions_service.api import router
from interactions_service.application import Interactions
from interactions_service.projections import activities
from interactions_service.publishing import publish

DEFINITION = Definition(
    service="interactions",
    description="What was said and bought: interactions and purchases.",
    port=8102,
    routers=[router],
    application=Interactions,
    publish=publish,
    projections=lambda runtime: [activities(runtime.database)],
)


def main() -> None:
    """Run the command line."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
