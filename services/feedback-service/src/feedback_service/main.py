"""Starts feedback: `feedback-service api|relay|project|run`."""

from crm_shared.process import Definition, run
from feedback_service import api, publishing
from feedback_service.projections import RESPONSES, SURVEYS

DEFINITION = Definition(
    service="feedback",
    description="Surveys, the answers to them, and their results.",
    port=8104,
    routers=api.ROUTERS,
    publish=publishing.publish,
    projections=[SURVEYS, RESPONSES],
)


def main() -> None:
    """The console command `feedback-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
