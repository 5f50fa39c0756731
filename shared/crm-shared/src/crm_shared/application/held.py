"""Aggregates that the writer keeps between commands, brought up to date once per batch."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from crm_shared.domain.aggregate import Aggregate

EventId = tuple[UUID, int]
"""Stream id and version of one event."""

HELD_LIMIT = 2_000
# A stream gets a snapshot whenever it has grown by so many events.
SNAPSHOT_EVERY = 100


class Log(Protocol):
    """Where streams are read from."""

    def load(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """(domain event, log position) of these streams after the given versions, each stream in order."""
        ...

    def load_latest(self, versions: Mapping[UUID, int]) -> list[tuple[Any, int]]:
        """The same, where a stream of which nothing is held (version 0) may begin with a snapshot."""
        ...


class HeldAggregates:
    """Aggregates kept between commands and batches, brought up to date by one query per batch."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._aggregates: OrderedDict[UUID, Aggregate] = OrderedDict()
        self._positions: dict[UUID, int] = {}
        self._fresh: set[UUID] = set()
        self._grown: set[UUID] = set()
        # Events decided in this batch and not yet stored: what a rejected command must not take with it.
        self._batch: dict[UUID, list[Any]] = {}

    def begin(self, reads: Iterable[UUID]) -> None:
        """Start a batch: whatever is held counts as stale until it has been read again; what is oldest is let go."""
        self._fresh.clear()
        self._batch.clear()
        # Here and not in `stored`: a batch of retries reads much and stores nothing.
        while len(self._aggregates) > HELD_LIMIT:
            self._forget(next(iter(self._aggregates)))
        self.read(reads)

    def read(self, ids: Iterable[UUID]) -> None:
        """Bring these up to date in one round trip."""
        self._refresh(set(ids) - self._fresh)

    def find(self, aggregate_id: UUID) -> Aggregate | None:
        if aggregate_id not in self._fresh:
            self._refresh({aggregate_id})
        return self._aggregates.get(aggregate_id)

    def position_of(self, event: EventId) -> int:
        """The log position of a stored event."""
        stream_id, version = event
        held = self._aggregates.get(stream_id)
        if held is not None and held.version == version and stream_id in self._positions:
            return self._positions[stream_id]
        return self._log.load({stream_id: version - 1})[0][1]

    def _refresh(self, ids: set[UUID]) -> None:
        if not ids:
            return
        versions = {
            aggregate_id: held.version if (held := self._aggregates.get(aggregate_id)) else 0 for aggregate_id in ids
        }
        for event, position in self._log.load_latest(versions):
            stream_id: UUID = event.originator_id
            self._aggregates[stream_id] = event.mutate(self._aggregates.get(stream_id))
            self._positions[stream_id] = position
        self._fresh |= ids

    def accept(self, events: Iterable[Any], touched: Mapping[UUID, Aggregate]) -> None:
        """Keep what an accepted command changed."""
        for event in events:
            self._batch.setdefault(event.originator_id, []).append(event)
        self._aggregates.update(touched)
        self._fresh.update(touched)

    def reject(self, changed: set[UUID]) -> None:
        """Forget what a rejected command changed: restore these aggregates from the store and the batch so far."""
        for aggregate_id in changed:
            self._forget(aggregate_id)
        self._refresh(changed)
        for aggregate_id in changed:
            for event in self._batch.get(aggregate_id, ()):
                self._aggregates[aggregate_id] = event.mutate(self._aggregates.get(aggregate_id))

    def stored(self, events: Sequence[Any], positions: Sequence[int]) -> None:
        """Note where the batch's events stand in the log."""
        for event, position in zip(events, positions, strict=True):
            self._positions[event.originator_id] = position
            self._aggregates.move_to_end(event.originator_id)
            if event.originator_version % SNAPSHOT_EVERY == 0:
                self._grown.add(event.originator_id)

    def grown(self) -> list[tuple[Aggregate, int]]:
        """The aggregates that want a snapshot since the last call, each with its position in the log."""
        grown, self._grown = self._grown, set()
        return [
            (aggregate, self._positions[aggregate_id])
            for aggregate_id in grown
            if (aggregate := self._aggregates.get(aggregate_id)) is not None and aggregate.SNAPSHOT_LAYOUT
        ]

    def forget_all(self) -> None:
        """Drop everything: the store, not memory, knows what is true now."""
        self._aggregates.clear()
        self._positions.clear()
        self._fresh.clear()
        self._batch.clear()

    def _forget(self, aggregate_id: UUID) -> None:
        self._aggregates.pop(aggregate_id, None)
        self._positions.pop(aggregate_id, None)
        self._fresh.discard(aggregate_id)
