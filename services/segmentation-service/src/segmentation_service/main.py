"""Starts segmentation: `segmentation-service api|relay|project|run`."""

from collections.abc import Sequence
from typing import cast

from crm_shared.process import Definition, Runtime, run
from crm_shared.projections import Applier
from segmentation_service import api, publishing
from segmentation_service.application import Segmentation
from segmentation_service.evaluation import Evaluated


def projections(runtime: Runtime) -> Sequence[Applier]:
    """The projection that keeps facts and memberships."""
    application = cast(Segmentation, runtime.application)
    return [Evaluated(runtime.database, runtime.kafka, application, runtime.writer)]


DEFINITION = Definition(
    service="segmentation",
    description="Segments: what defines them, who belongs to them, and why.",
    port=8103,
    routers=[api.router],
    application=Segmentation,
    publish=publishing.publish,
    states=publishing.STATES,
    projections=projections,
)


def main() -> None:
    """The console command `segmentation-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
