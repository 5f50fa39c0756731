"""What people ask of segmentation."""

import asyncio
import time
from typing import Any
from uuid import UUID

from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import rfc3339
from crm_shared.domain import NotFound, PositionNotReached
from crm_shared.mongo import Document
from crm_shared.projections.progress import POLL_SECONDS, WAIT_SECONDS
from crm_shared.queries import read_cursor, write_cursor
from segmentation_service.conditions import Condition, evaluate, explain, parse
from segmentation_service.evaluation import LEARNT, SEGMENTS
from segmentation_service.projections import CUSTOMERS, LOOKUP

SAMPLE = 10


class Segments:
    """Reads definitions, members and reasons from the views."""

    def __init__(self, database: AsyncDatabase[Document], partitions: int) -> None:
        self._segments = database[SEGMENTS]
        self._customers = database[CUSTOMERS]
        self._lookup = database[LOOKUP]
        self._learnt = database[LEARNT]
        self._partitions = partitions

    async def wait_for_definitions(self, position: int, *, seconds: float = WAIT_SECONDS) -> None:
        """Wait until definitions up to this position of our own log are shown; raises `PositionNotReached`."""
        deadline = time.monotonic() + seconds
        while (found := await self._learnt.find_one({"_id": LEARNT})) is None or found["position"] < position:
            if time.monotonic() >= deadline:
                raise PositionNotReached(f"the view has not applied segmentation:{position} within {seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def page(self, limit: int, cursor: str | None) -> dict[str, Any]:
        """Segments in use, by key."""
        last = read_cursor(cursor, str)[0] if cursor else ""
        query = {"retired": False, "_id": {"$gt": last}}
        found = await self._segments.find(query).sort("_id", 1).limit(limit + 1).to_list()
        items = [await self._shown(one) for one in found[:limit]]
        return {"items": items, "next_cursor": write_cursor(items[-1]["key"]) if len(found) > limit else None}

    async def one(self, key: str) -> dict[str, Any]:
        """A segment in use, with the progress of its evaluation; raises `NotFound`."""
        return await self._shown(await self._definition(key))

    async def members(self, key: str, limit: int, cursor: str | None) -> dict[str, Any]:
        """The members of a segment by customer id, and since when each is one; raises `NotFound`."""
        await self._definition(key)
        last = read_cursor(cursor, str)[0] if cursor else ""
        query = {"member_of": key, "_id": {"$gt": last}}
        shown = {f"memberships.{key}": 1}
        found = await self._lookup.find(query, shown).sort("_id", 1).limit(limit + 1).to_list()
        items = [{"customer_id": one["_id"], "since": rfc3339(one["memberships"][key])} for one in found[:limit]]
        return {"items": items, "next_cursor": write_cursor(items[-1]["customer_id"]) if len(found) > limit else None}

    async def why(self, key: str, customer_id: UUID) -> dict[str, Any]:
        """Whether a customer is a member, since when, and why; raises `NotFound` for either."""
        definition = await self._definition(key)
        document = await self._customers.find_one({"_id": str(customer_id)})
        if document is None:
            raise NotFound(f"segmentation has heard nothing of customer {customer_id}")
        since = document.get("memberships", {}).get(key)
        return {
            "customer_id": document["_id"],
            "segment": key,
            "member": since is not None,
            "since": rfc3339(since) if since else None,
            "definition_version": definition["version"],
            "why": explain(parse(definition["condition"]), document),
        }

    async def preview(self, condition: Condition) -> dict[str, Any]:
        """How many customers meet a condition, of how many, and the first ten of them by id. Stores nothing."""
        sample: list[str] = []
        count = total = 0
        async for document in self._customers.find({}).sort("_id", 1):
            total += 1
            if evaluate(condition, document):
                count += 1
                if len(sample) < SAMPLE:
                    sample.append(document["_id"])
        return {"count": count, "total": total, "sample": sample}

    async def _definition(self, key: str) -> Document:
        definition = await self._segments.find_one({"_id": key, "retired": False})
        if definition is None:
            raise NotFound(f"there is no segment {key!r}")
        return definition

    async def _shown(self, definition: Document) -> dict[str, Any]:
        noted = [one for one in definition.get("evaluated", {}).values() if one["version"] == definition["version"]]
        ready = len(noted) == self._partitions and all(one["complete"] for one in noted)
        return {
            "key": definition["_id"],
            "segment_id": definition["segment_id"],
            "name": definition["name"],
            "description": definition["description"],
            "condition": definition["condition"],
            "version": definition["version"],
            "status": "ready" if ready else "evaluating",
            "members": await self._lookup.count_documents({"member_of": definition["_id"]}),
            "evaluated": {"done": sum(one["done"] for one in noted), "total": sum(one["total"] for one in noted)},
            "defined_at": rfc3339(definition["defined_at"]),
        }
