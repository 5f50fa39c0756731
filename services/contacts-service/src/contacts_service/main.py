"""Starts contacts: `contacts-service api|relay|project|run`."""

from contacts_service import api, publishing
from contacts_service.projections import CUSTOMERS
from crm_shared.process import Definition, run

DEFINITION = Definition(
    service="contacts",
    description="Customers and their identities: identify, details, tags, preferences.",
    port=8101,
    routers=[api.router],
    publish=publishing.publish,
    states=publishing.STATES,
    projections=[CUSTOMERS],
)


def main() -> None:
    """The console command `contacts-service`."""
    run(DEFINITION)


if __name__ == "__main__":
    main()
