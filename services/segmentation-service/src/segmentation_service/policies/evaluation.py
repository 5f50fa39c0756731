"""The evaluation of everybody: a segment that was defined or retired is decided about for each customer."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from crm_shared.application import Outcome, Submission
from crm_shared.domain import CommandContext, StoreUnavailable
from crm_shared.mongo import DURABLE, Document
from crm_shared.policies import DecidedProjection, Resources
from segmentation_service.domain import Change
from segmentation_service.policies.decided import DecidedMemberships
from segmentation_service.policies.deciding import command_of, departures, differences
from segmentation_service.policies.definitions import Definitions, DefinitionsView
from segmentation_service.projections.evaluations import COLLECTION, Evaluated, EvaluationDocument, Running

log = logging.getLogger(__name__)

# How soon a projector hears of a definition that the view shows.
LOOK_SECONDS = 0.5
RETRY_SECONDS = 1.0
CUSTOMERS_AT_ONCE = 200


class Evaluation:
    """Evaluates the customers of the partitions that this process owns, in chunks between the batches of events.

    How far it is is noted per partition. A view that was folded again (another generation of it) is evaluated for all
    segments: what was folded meanwhile by nobody who decides is decided so.
    """

    def __init__(
        self, resources: Resources, definitions: Definitions, view: DefinitionsView, decided: DecidedMemberships
    ) -> None:
        self._service = resources.service
        self._writer = resources.writer
        self._partitions = resources.kafka.partitions
        self._notes: AsyncCollection[Document] = resources.database.get_collection(COLLECTION, write_concern=DURABLE)
        self._definitions = definitions
        self._definitions_view = view
        self._decided = decided
        # Per partition what is noted, while it is ours.
        self._noted: dict[int, EvaluationDocument] = {}

    def forget(self) -> None:
        """Partitions have changed hands: another owner may have gone on."""
        self._noted.clear()

    async def work(self, view: DecidedProjection) -> None:
        """Follow the definitions and evaluate everybody they ask for, until cancelled."""
        while True:
            try:
                async with view.busy:
                    await self._definitions_view.bring_up_to_date(self._definitions)
                busy = False
                for partition in sorted(view.partitions):
                    busy = await self._evaluate(view, partition) or busy
                if not busy:
                    await asyncio.sleep(LOOK_SECONDS)
            except (PyMongoError, StoreUnavailable, OSError) as error:
                log.warning("the evaluation will try again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # the next round starts from what is stored
                log.exception("the evaluation stumbled; it will try again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _evaluate(self, view: DecidedProjection, partition: int) -> bool:
        """Evaluate one partition's customers for all definitions it has not seen; whether there was anything."""
        generation = view.generation
        noted = await self._noted_of(partition, generation)
        known = noted["evaluated"]
        versions = self._definitions.versions
        pending = {key: one for key, one in versions.items() if key not in known or known[key]["version"] != one}
        if not pending:
            return False
        entries = view.documents.entries
        assert entries is not None
        total = await entries.count_documents({"partition": partition})
        await self._note_running(partition, {"versions": pending, "done": 0, "total": total})
        done, last = 0, ""
        while True:
            found = entries.find({"partition": partition, "_id": {"$gt": last}}, {"_id": 1})
            chunk = [one["_id"] async for one in found.sort("_id", 1).limit(CUSTOMERS_AT_ONCE)]
            if partition not in view.partitions or view.generation != generation:
                return True
            if not chunk:
                break
            async with view.busy:
                await self._evaluate_chunk(view, chunk, pending)
            done, last = done + len(chunk), chunk[-1]
            await self._note_running(partition, {"versions": pending, "done": done, "total": max(total, done)})
            # Let the events that arrived meanwhile go first.
            await asyncio.sleep(0)
        evaluated: dict[str, Evaluated] = {key: {"version": one, "customers": done} for key, one in pending.items()}
        fields = {f"evaluated.{key}": one for key, one in evaluated.items()}
        await self._notes.update_one({"_id": partition}, {"$set": {**fields, "running": None}})
        known.update(evaluated)
        return True

    async def _evaluate_chunk(self, view: DecidedProjection, chunk: Sequence[str], pending: Mapping[str, int]) -> None:
        documents = await view.load(chunk)
        decided = await self._decided.of(chunk)
        submissions: list[Submission[Any]] = []
        for customer_id, facts in documents.items():
            memberships = decided.get(customer_id)
            changes: list[Change] = []
            # Facts older than those behind the latest decision decide nothing; once as recent, they decide anew.
            if facts is not None and not (memberships and memberships.knows_later_than(facts["positions"])):
                changes += differences(self._definitions, pending.keys(), facts, memberships, "segment_defined")
            if memberships is not None:
                changes += departures(self._definitions, memberships)
            if changes:
                command = command_of(customer_id, changes, facts or {"positions": {}}, memberships)
                submissions.append(Submission(command, CommandContext(actor=self._service)))
        for outcome in await self._writer.run_all(submissions):
            if not isinstance(outcome, Outcome):
                raise StoreUnavailable(f"a membership could not be stored: {outcome}") from outcome

    async def _noted_of(self, partition: int, generation: int) -> EvaluationDocument:
        """What is noted of a partition, begun anew for another generation of the facts or number of partitions."""
        noted = self._noted.get(partition)
        if noted is None:
            found = await self._notes.find_one({"_id": partition})
            noted = EvaluationDocument(**found) if found else None  # type: ignore[typeddict-item]
        if noted is None or (noted["generation"], noted["partitions"]) != (generation, self._partitions):
            noted = {"partitions": self._partitions, "generation": generation, "evaluated": {}, "running": None}
            await self._notes.replace_one({"_id": partition}, dict(noted), upsert=True)
        self._noted[partition] = noted
        return noted

    async def _note_running(self, partition: int, running: Running) -> None:
        await self._notes.update_one({"_id": partition}, {"$set": {"running": running}})
