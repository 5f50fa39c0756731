"""What happens to customers in contacts, and in interactions: the histories that views are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import contacts_service.publishing
from benchmarks.purchases import customer_ids, events, records
from contacts_service.domain import Customer
from contacts_service.domain.identifiers import Identifier
from crm_contracts.envelope import Record, encode

Draw = Callable[[Sequence[str], int], Callable[[], str]]


class Purchases:
    """Purchases of known customers, with log positions that go on from the last."""

    def __init__(self, customers: int, draw: Draw) -> None:
        self._customers = customer_ids(customers)
        self._draw = draw(self._customers, 7)
        self._position = 0

    def history(self, per_customer: int) -> list[Record]:
        """Everything about one customer after the other."""
        return self._of([one for one in self._customers for _ in range(per_customer)])

    def more(self, number: int) -> list[Record]:
        """Further purchases of customers who are drawn."""
        return self._of([self._draw() for _ in range(number)])

    def _of(self, customers: Sequence[str]) -> list[Record]:
        made = records(events(customers, "bench", self._position), self._position + 1)
        self._position += len(made)
        return made


class Changes:
    """Customers who are identified, and then move to another city time and again."""

    def __init__(self, customers: int, draw: Draw) -> None:
        known = [
            Customer.identify(
                source="bench",
                identifiers=[Identifier("email", f"customer{number}@example.com", None)],
                details={"/profile/name": f"Customer {number}", "/profile/language": "en"},
                tags=["bench"],
            )
            for number in range(customers)
        ]
        self._known = {str(one.id): one for one in known}
        self._draw = draw(list(self._known), 7)
        self._position = 0

    def history(self, per_customer: int) -> list[Record]:
        """Everything about one customer after the other."""
        return [record for one in self._known for record in self._changed(one, per_customer - 1)]

    def more(self, number: int) -> list[Record]:
        """Further changes of customers who are drawn."""
        return [record for _ in range(number) for record in self._changed(self._draw(), 1)]

    def _changed(self, customer_id: str, times: int) -> list[Record]:
        customer = self._known[customer_id]
        for number in range(times):
            customer.change_details({"/profile/address/city": f"City {self._position}-{number}"})
        made: list[Record] = []
        collected: Sequence[Any] = customer.collect_events()
        for event in collected:
            self._position += 1
            publication = contacts_service.publishing.publish(event)
            assert publication is not None
            made.append(encode(event, self._position, publication.key, publication.data))
        return made


History = Purchases | Changes
