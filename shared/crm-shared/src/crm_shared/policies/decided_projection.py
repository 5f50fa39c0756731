"""A view with decisions hanging on it: they are stored before the document that they were made from is written."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_contracts.envelope import PublicEvent
from crm_shared.application.command import Submission
from crm_shared.mongo.documents import Document
from crm_shared.policies.policy import Resources, ViewPolicy
from crm_shared.policies.submitting import run_planned, submissions
from crm_shared.projections.document_projection import DocumentProjection, Step
from crm_shared.projections.progress_keeper import Note
from crm_shared.projections.projection import Failure, Projection


class DecidedProjection(DocumentProjection):
    """Keeps the view of a `ViewPolicy`, and decides about every event that it folds.

    `partitions` are those that this process owns; `busy` is held while documents are read, decided about and written.
    """

    acts = True

    def __init__(self, resources: Resources, declared: Projection, policy: ViewPolicy) -> None:
        super().__init__(resources.database, declared, partition_of=resources.kafka.partition_of)
        self.partitions: frozenset[int] = frozenset()
        self.busy = asyncio.Lock()
        self.decisions = policy.open(resources)
        self._policy = policy
        self._service = resources.service
        self._writer = resources.writer

    async def prepare(self, generation: int) -> None:
        """Create the indexes, and let the decisions get ready."""
        await super().prepare(generation)
        await self.decisions.prepare()

    def take_over(self, partitions: frozenset[int]) -> None:
        """Drop what is held in memory, and note which partitions are ours."""
        super().take_over(partitions)
        self.partitions = partitions
        self.decisions.forget()

    async def work(self) -> None:
        """What the decisions ask for beside events."""
        await self.decisions.work(self)

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        """Fold, decide, store the decisions, write. Raises when a store cannot be reached."""
        async with self.busy:
            return await super().apply(events, note)

    async def load(self, ids: Iterable[str]) -> dict[str, Document | None]:
        """The documents with these ids, with what was decided about those that were not held."""
        wanted = list(dict.fromkeys(ids))
        unknown = self.documents.not_held(wanted)
        documents = await self.documents.load(wanted)
        if unknown:
            try:
                await self.decisions.recall({document_id: documents[document_id] for document_id in unknown})
            except BaseException:
                # What was not compared with the log must not be held as if it had been.
                self.documents.forget(unknown)
                raise
        return documents

    def plan(self, before: Document | None, event: PublicEvent, after: Document) -> Sequence[Submission[Any]]:
        commands = self.decisions.decide(before, event, after)
        if not commands:
            return ()
        return submissions(self._service, self._policy.name, event, commands, once=self._policy.once)

    async def carry_out(self, steps: Sequence[Step]) -> Mapping[str, Failure]:
        return await run_planned(
            self._writer, [(step.event, submission) for step in steps for submission in step.planned]
        )
