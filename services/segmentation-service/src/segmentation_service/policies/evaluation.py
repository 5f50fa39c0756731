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
from segmentation_service.projections.evaluations import COLLECTION, Evaluated, Running

log = logging.getLogger(__name__)

# How soon a projector hears of a definition that the view shows.
LOOK_SECONDS = 0.5
RETRY_SECONDS = 1.0
CUSTOMERS_AT_ONCE = 200


class Evaluation:
    """Evaluates the customers of the partitions that this process owns, in chunks between the batches of events.

    How far it is is noted per partition. When the view of facts was folded again, and so has another generation, all
    segments are evaluated by it: a rebuild folds without deciding, and another layout may give other results.
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
        # What is noted per partition, while it is ours.
        self._evaluated: dict[int, dict[str, Evaluated]] = {}

    def forget(self) -> None:
        """Partitions have changed hands: another owner may have gone on."""
        self._evaluated.clear()

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
        known = await self._evaluated_of(partition)
        versions = self._definitions.versions
        pending = {
            key: version
            for key, version in versions.items()
            if (noted := known.get(key)) is None or (noted["version"], noted["generation"]) != (version, generation)
        }
        if not pending:
            return False
        reasons = {
            key: "facts_changed" if key in known and known[key]["version"] == version else "segment_defined"
            for key, version in pending.items()
        }
        entries = view.documents.entries
        assert entries is not None
        total = await entries.count_documents({"partition": partition})
        await self._note_running(partition, {"versions": pending, "done": 0, "total": total})
        done, last = 0, ""
        while True:
            cursor = entries.find({"partition": partition, "_id": {"$gt": last}}, {"_id": 1})
            chunk = [entry["_id"] async for entry in cursor.sort("_id", 1).limit(CUSTOMERS_AT_ONCE)]
            if partition not in view.partitions or view.generation != generation:
                return True
            if not chunk:
                break
            async with view.busy:
                await self._evaluate_chunk(view, chunk, reasons)
            done, last = done + len(chunk), chunk[-1]
            await self._note_running(partition, {"versions": pending, "done": done, "total": max(total, done)})
            # Let the events that arrived meanwhile go first.
            await asyncio.sleep(0)
        evaluated = {
            key: Evaluated(version=version, generation=generation, customers=done) for key, version in pending.items()
        }
        fields = {f"evaluated.{key}": entry for key, entry in evaluated.items()}
        await self._notes.update_one({"_id": partition}, {"$set": {**fields, "running": None}})
        known.update(evaluated)
        return True

    async def _evaluate_chunk(self, view: DecidedProjection, chunk: Sequence[str], reasons: Mapping[str, str]) -> None:
        documents = await view.load(chunk)
        decided = await self._decided.of(chunk)
        submissions: list[Submission[Any]] = []
        for customer_id, facts in documents.items():
            memberships = decided.get(customer_id)
            changes: list[Change] = []
            # Facts older than those behind the latest decision decide nothing; once as recent, they decide anew.
            if facts is not None and not (memberships and memberships.knows_later_than(facts["positions"])):
                changes += differences(self._definitions, facts, memberships, reasons)
            if memberships is not None:
                changes += departures(self._definitions, memberships)
            if changes:
                command = command_of(customer_id, changes, facts or {"positions": {}}, memberships)
                submissions.append(Submission(command, CommandContext(actor=self._service)))
        for outcome in await self._writer.run_all(submissions):
            if not isinstance(outcome, Outcome):
                raise StoreUnavailable(f"a membership could not be stored: {outcome}") from outcome

    async def _evaluated_of(self, partition: int) -> dict[str, Evaluated]:
        """What a partition's customers have been evaluated for, by the keys of segments."""
        if partition not in self._evaluated:
            note = await self._notes.find_one({"_id": partition})
            self._evaluated[partition] = note["evaluated"] if note else {}
        return self._evaluated[partition]

    async def _note_running(self, partition: int, running: Running) -> None:
        changed = {"$set": {"running": running, "partitions": self._partitions}, "$setOnInsert": {"evaluated": {}}}
        await self._notes.update_one({"_id": partition}, changed, upsert=True)
