"""What was decided about customers before, as the service's own log has it."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import ParamSpec, TypeVar
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from crm_shared.domain import StoreUnavailable
from crm_shared.postgres import EventSourcedApplication
from segmentation_service.domain import Memberships

P = ParamSpec("P")
R = TypeVar("R")


class DecidedMemberships:
    """Reads memberships from the event store."""

    def __init__(self, event_store: EventSourcedApplication) -> None:
        self._event_store = event_store

    async def of(self, customers: Collection[str]) -> dict[str, Memberships]:
        """The memberships of these customers; customers without any decision are missing.

        Raises `StoreUnavailable`.
        """
        return await in_store(memberships_of, self._event_store, customers)

    async def last_positions(self, customers: Collection[str]) -> dict[str, Mapping[str, int]]:
        """Per customer the positions of the facts behind the latest decision. Raises `StoreUnavailable`."""
        return await in_store(_last_positions, self._event_store, customers)


def memberships_of(event_store: EventSourcedApplication, customers: Collection[str]) -> dict[str, Memberships]:
    """The same as `DecidedMemberships.of`; reads the store at once."""
    by_id: dict[UUID, Memberships] = {}
    for event, _ in event_store.load_latest({Memberships.create_id(customer_id): 0 for customer_id in customers}):
        by_id[event.originator_id] = event.mutate(by_id.get(event.originator_id))
    return {memberships.customer_id: memberships for memberships in by_id.values()}


def _last_positions(event_store: EventSourcedApplication, customers: Collection[str]) -> dict[str, Mapping[str, int]]:
    last = event_store.load_last([Memberships.create_id(customer_id) for customer_id in customers])
    return {
        event.customer_id: event.decided_at
        for event in last
        if isinstance(event, Memberships.Entered | Memberships.Left)
    }


async def in_store(read: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """What `read` finds in the event store, read on a thread; raises `StoreUnavailable`."""
    try:
        return await asyncio.to_thread(read, *arguments, **options)
    except PersistenceError as error:
        raise StoreUnavailable(f"the event store cannot be read: {error}") from error
