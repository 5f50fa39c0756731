"""Keeps the view in PostgreSQL, by the library's projection runner: each event and its position in one transaction."""

from typing import Any

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from benchmarks.peers.eventsourced.purchases import Purchase, Purchases

_TABLES = (
    "CREATE TABLE IF NOT EXISTS {0}.customers (customer_id uuid PRIMARY KEY, purchases bigint NOT NULL,"
    " last_purchase_at timestamptz NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {0}.spent (customer_id uuid, currency text, amount numeric NOT NULL,"
    " PRIMARY KEY (customer_id, currency))",
    "CREATE TABLE IF NOT EXISTS {0}.timeline (position bigint PRIMARY KEY, customer_id uuid NOT NULL,"
    " occurred_at timestamptz NOT NULL, purchase jsonb NOT NULL)",
    "CREATE INDEX IF NOT EXISTS timeline_of_customer ON {0}.timeline (customer_id, occurred_at)",
)
_CUSTOMER = """
INSERT INTO {0}.customers AS known VALUES (%s, 1, %s) ON CONFLICT (customer_id) DO UPDATE SET
purchases = known.purchases + 1, last_purchase_at = greatest(known.last_purchase_at, excluded.last_purchase_at)
"""
_SPENT = """
INSERT INTO {0}.spent AS known VALUES (%s, %s, %s) ON CONFLICT (customer_id, currency) DO UPDATE SET
amount = known.amount + excluded.amount
"""
_ROW = "INSERT INTO {0}.timeline VALUES (%s, %s, %s, %s)"


class CustomersView(PostgresTrackingRecorder):
    """Customers, what they spent, and their timeline."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        schema = Identifier(datastore.schema)
        self.sql_create_statements.extend(SQL(text).format(schema) for text in _TABLES)
        self._statements = [SQL(text).format(schema) for text in (_CUSTOMER, _SPENT, _ROW)]

    def record(self, purchase: Purchase.Recorded, tracking: Tracking) -> None:
        """Apply a purchase and note its position, in one transaction."""
        customer, spent, row = self._statements
        payload = Jsonb({"lines": purchase.lines, "order_id": purchase.order_id, "system": purchase.system})
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(customer, (purchase.customer_id, purchase.occurred_at), prepare=True)
            cursor.execute(spent, (purchase.customer_id, purchase.currency, purchase.amount), prepare=True)
            cursor.execute(
                row, (tracking.notification_id, purchase.customer_id, purchase.occurred_at, payload), prepare=True
            )


class Customers(Projection[CustomersView]):
    """Purchases into the view."""

    name = "customers"
    topics = (f"{Purchase.__module__}:{Purchase.Recorded.__qualname__}",)

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Only purchases are subscribed to."""
        raise TypeError(f"{type(domain_event)} is not projected")

    @process_event.register
    def purchase_recorded(self, domain_event: Purchase.Recorded, tracking: Tracking) -> None:
        """Apply one purchase."""
        self.view.record(domain_event, tracking)


def main() -> None:
    """`python -m benchmarks.peers.eventsourced.project`."""
    with ProjectionRunner(application_class=Purchases, projection_class=Customers, view_class=CustomersView) as runner:
        runner.run_forever()


if __name__ == "__main__":
    main()
