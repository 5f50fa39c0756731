"""Starts customer360: `customer360-service api|project|run`."""

from crm_shared.process import Definition, run
from customer360_service import api
from customer360_service.projections import CUSTOMERS

DEFINITION = Definition(
    service="customer360",
    description="The customer 360: everything known of a customer from every source, its timeline, and key figures.",
    port=8105,
    routers=api.ROUTERS,
    projections=[CUSTOMERS],
)


def main() -> None:
    """The console command `customer360-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
