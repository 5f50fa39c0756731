"""The writer: one thread that decides queued commands in turn and saves each batch in one transaction."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import IntegrityError, PersistenceError

from crm_shared.application.command import Outcome, Submission
from crm_shared.application.held import EventId, HeldAggregates
from crm_shared.application.idempotency import IdempotencyRecord, decide_once
from crm_shared.application.unit import Unit
from crm_shared.domain.context import command_context
from crm_shared.domain.errors import Conflict, RelataError, StoreUnavailable
from crm_shared.observability import crash_points, metrics
from crm_shared.postgres.eventstore import EventSourcedApplication

T = TypeVar("T")

log = logging.getLogger(__name__)


BATCH_LIMIT = 500
CONFLICT_ATTEMPTS = 20


@dataclass
class _Job:
    """Queued commands that are answered together, through one future."""

    submissions: Sequence[Submission[Any]]
    results: list[Outcome[Any] | Exception]
    answer: Callable[[], None]


@dataclass
class _Decided:
    """A command that was accepted within a batch and waits for the batch to be stored."""

    job: _Job
    index: int
    value: Any
    events: Sequence[Any]
    answered_with: Sequence[EventId]


class Writer:
    """Runs commands one after the other on a thread of its own; many of them share one transaction.

    The first command of an idle writer is saved at once; while it is being stored, others queue up and form the
    next batch. Await `run` from the event loop.
    """

    def __init__(self, application: EventSourcedApplication, *, batch_limit: int = BATCH_LIMIT) -> None:
        self._application = application
        self._held = HeldAggregates(application)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._batch_limit = batch_limit
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    async def run(self, submission: Submission[T]) -> Outcome[T]:
        """Decide one command and wait until it is durable.

        Raises the command's own `RelataError` when it is rejected, `Conflict` when other processes kept changing
        the same aggregates, and `StoreUnavailable` when PostgreSQL cannot be reached.
        """
        outcome = (await self.run_all([submission]))[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run_all(self, submissions: Sequence[Submission[T]]) -> list[Outcome[T] | Exception]:
        """Decide commands in their order and wait until all are durable; one result or error for each."""
        return await self.submit(submissions)

    def submit(self, submissions: Sequence[Submission[T]]) -> asyncio.Future[list[Outcome[T] | Exception]]:
        """Queue commands; they are decided in their order, whether or not the results are awaited."""
        if self._closed:
            raise StoreUnavailable("the service is stopping")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Outcome[T] | Exception]] = loop.create_future()
        if not submissions:
            future.set_result([])
            return future
        results: list[Outcome[T] | Exception] = [_unanswered] * len(submissions)

        def answer() -> None:
            # A caller that has gone away has cancelled its future; the command stays stored.
            loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(results))

        self._queue.put(_Job(submissions, results, answer))
        return future

    def close(self) -> None:
        """Finish what is queued and stop the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            jobs: list[_Job] = []
            size = 0
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                size += len(job.submissions)
                if size >= self._batch_limit:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                stopping = True
            if jobs:
                self._run_jobs(jobs)

    def _run_jobs(self, jobs: Sequence[_Job]) -> None:
        pending = [(job, index) for job in jobs for index in range(len(job.submissions))]
        for start in range(0, len(pending), self._batch_limit):
            self._run_batch(pending[start : start + self._batch_limit])
        _count([job.results[index] for job, index in pending])
        for job in jobs:
            try:
                job.answer()
            except RuntimeError:
                log.warning("the event loop closed before a stored command was answered")
        self._take_snapshots()

    def _take_snapshots(self) -> None:
        """Bound what has to be loaded of long streams. Nothing depends on it, so nothing fails with it."""
        for aggregate, position in self._held.grown():
            try:
                self._application.snapshot(aggregate, position)
            except Exception:
                metrics.SNAPSHOTS.labels("failed").inc()
                log.warning("no snapshot of %r was stored", aggregate.id, exc_info=True)
            else:
                metrics.SNAPSHOTS.labels("taken").inc()

    def _run_batch(self, batch: Sequence[tuple[_Job, int]]) -> None:
        try:
            decided = self._decide(batch)
            try:
                self._store(decided)
            except IntegrityError:
                # Somebody else wrote to one of the streams: only the command concerned should decide again.
                self._held.forget_all()
                for job, index in batch:
                    self._run_alone(job, index)
        except Exception as error:
            self._held.forget_all()
            failure = _as_store_error(error)
            for job, index in batch:
                job.results[index] = failure

    def _run_alone(self, job: _Job, index: int) -> None:
        for _ in range(CONFLICT_ATTEMPTS):
            try:
                self._store(self._decide([(job, index)]))
                return
            except IntegrityError:
                self._held.forget_all()
            except PersistenceError as error:
                self._held.forget_all()
                job.results[index] = _as_store_error(error)
                return
        job.results[index] = Conflict(
            "others kept changing the same records at the same time; try again", code="concurrent_changes"
        )

    def _decide(self, batch: Sequence[tuple[_Job, int]]) -> list[_Decided]:
        submissions = [job.submissions[index] for job, index in batch]
        self._held.begin(read for submission in submissions for read in _reads(submission))
        followed = Unit(self._held)
        self._held.read(
            aggregate_id for submission in submissions for aggregate_id in submission.command.follows(followed)
        )
        decided: list[_Decided] = []
        for job, index in batch:
            unit = Unit(self._held)
            try:
                value = decide(job.submissions[index], unit)
            except PersistenceError:
                raise
            except Exception as error:  # whatever a rule raises is that command's answer
                self._held.reject(unit.changed)
                job.results[index] = error
                continue
            self._held.accept(unit.events, unit.touched)
            decided.append(_Decided(job, index, value, tuple(unit.events), unit.answered_with))
        return decided

    def _store(self, decided: Sequence[_Decided]) -> None:
        events = [event for decision in decided for event in decision.events]
        stored: dict[EventId, int] = {}
        if events:
            try:
                positions = self._application.put(events)
            except IntegrityError:
                # The library retries a save when the connection drops, so the conflict may be with ourselves.
                earlier_positions = self._positions_if_stored(events)
                if earlier_positions is None:
                    raise
                positions = earlier_positions
            crash_points.reach("after_store")
            metrics.WRITER_BATCH.observe(len(decided))
            self._held.stored(events, positions)
            for event, position in zip(events, positions, strict=True):
                stored[event.originator_id, event.originator_version] = position
        for decision in decided:
            answered_positions = [
                stored.get(event) or self._held.position_of(event) for event in decision.answered_with
            ]
            decision.job.results[decision.index] = Outcome(decision.value, max(answered_positions, default=0))

    def _positions_if_stored(self, events: Sequence[Any]) -> list[int] | None:
        """The positions of these very events if the store already has them (their contexts name their command)."""
        first_versions: dict[UUID, int] = {}
        for event in events:
            first_versions.setdefault(event.originator_id, event.originator_version - 1)
        stored = {
            (event.originator_id, event.originator_version): (event, position)
            for event, position in self._application.load(first_versions)
        }
        positions: list[int] = []
        for event in events:
            match = stored.get((event.originator_id, event.originator_version))
            if match is None or match[0].context["command_id"] != event.context["command_id"]:
                return None
            positions.append(match[1])
        return positions


def decide(submission: Submission[T], unit: Unit) -> T:
    """The command's result; its events are in the unit. Raises what the command raises, to reject it."""
    command, once = submission.command, submission.once
    with command_context(submission.context, command.occurred_at):
        value = command.decide(unit) if once is None else decide_once(command, once, unit)
    for aggregate in unit.touched.values():
        if aggregate.pending_events:
            raise RuntimeError(f"{aggregate!r} was changed and not saved")
    return value


def _reads(submission: Submission[Any]) -> Iterator[UUID]:
    if submission.once is not None:
        yield IdempotencyRecord.create_id(submission.once)
    yield from submission.command.reads


_unanswered = cast(Outcome[Any], RuntimeError("the command was not run"))


def _count(results: Sequence[Outcome[Any] | Exception]) -> None:
    accepted = sum(isinstance(outcome, Outcome) for outcome in results)
    rejected = sum(
        isinstance(outcome, RelataError) and not isinstance(outcome, StoreUnavailable) for outcome in results
    )
    for result, count in (
        ("accepted", accepted),
        ("rejected", rejected),
        ("failed", len(results) - accepted - rejected),
    ):
        if count:
            metrics.COMMANDS.labels(result).inc(count)


def _as_store_error(error: Exception) -> Exception:
    if isinstance(error, PersistenceError):
        return StoreUnavailable("the event store cannot be reached; try again with the same Idempotency-Key")
    log.error("the writer failed", exc_info=error)
    return error
