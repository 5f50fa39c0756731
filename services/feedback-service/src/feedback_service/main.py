"""feedback-service as a process: what it is made of, and its command line."""

from crm_shared.process import Definition, run
from feedback_service import api, projections
from feedback_service.application import Feedback
from feedback_service.publishing import publish

DEFINITION = Definition(
    service="feedback",
    description="Surveys, the answers to them, and their results.",
    port=8104,
    routers=[api.router],
    application=Feedback,
    publish=publish,
    projections=lambda runtime: [projections.surveys(runtime.database), projections.responses(runtime.database)],
)


def main() -> None:
    """Run the service from the command line."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
