"""The queries of segmentation: definitions, members, reasons, previews."""

from typing import Any
from uuid import UUID

from crm_contracts.envelope import rfc3339
from crm_shared.domain import NotFound
from crm_shared.mongo import Document
from crm_shared.queries import View, read_cursor, write_cursor
from segmentation_service.conditions import Condition, evaluate, explain, parse
from segmentation_service.projections.evaluations import COLLECTION as EVALUATIONS
from segmentation_service.projections.evaluations import progress_of

SAMPLE = 10


async def segments(definitions: View, members: View, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Segments in use, by key."""
    last = read_cursor(cursor, str, of=("segments",))[0] if cursor is not None else ""
    query = {"retired": False, "_id": {"$gt": last}}
    documents = await definitions.documents.find(query).sort("_id", 1).limit(limit + 1).to_list()
    items = await _shown(documents[:limit], definitions, members)
    next_cursor = write_cursor(items[-1]["key"], of=("segments",)) if len(documents) > limit else None
    return {"items": items, "next_cursor": next_cursor}


async def segment(definitions: View, members: View, key: str) -> dict[str, Any]:
    """A segment in use, with the progress of its evaluation; raises `NotFound`."""
    return (await _shown([await _definition(definitions, key)], definitions, members))[0]


async def members_of(definitions: View, members: View, key: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """The members of a segment by customer id, and since when each is a member; raises `NotFound`."""
    await _definition(definitions, key)
    last = read_cursor(cursor, str, of=("members", key))[0] if cursor is not None else ""
    query = {"member_of": key, "_id": {"$gt": last}}
    entries = await members.lookup.find(query, {f"since.{key}": 1}).sort("_id", 1).limit(limit + 1).to_list()
    items = [{"customer_id": entry["_id"], "since": rfc3339(entry["since"][key])} for entry in entries[:limit]]
    next_cursor = write_cursor(items[-1]["customer_id"], of=("members", key)) if len(entries) > limit else None
    return {"items": items, "next_cursor": next_cursor}


async def why(definitions: View, members: View, facts: View, key: str, customer_id: UUID) -> dict[str, Any]:
    """Whether a customer is a member, since when, and why; raises `NotFound` for either."""
    definition = await _definition(definitions, key)
    document = await facts.documents.find_one({"_id": str(customer_id)})
    if document is None:
        raise NotFound(f"segmentation has heard nothing of customer {customer_id}")
    membership = await members.documents.find_one({"_id": str(customer_id)})
    since = membership["since"].get(key) if membership else None
    return {
        "customer_id": document["_id"],
        "segment": key,
        "member": since is not None,
        "since": rfc3339(since) if since else None,
        "definition_version": definition["version"],
        "why": explain(parse(definition["condition"]), document),
    }


async def preview(facts: View, condition: Condition) -> dict[str, Any]:
    """How many customers meet a condition, of how many, and the first ten of them by id. Stores nothing."""
    sample: list[str] = []
    count = total = 0
    async for document in facts.documents.find({}).sort("_id", 1):
        total += 1
        if evaluate(condition, document):
            count += 1
            if len(sample) < SAMPLE:
                sample.append(document["_id"])
    return {"count": count, "total": total, "sample": sample}


async def _definition(definitions: View, key: str) -> Document:
    definition = await definitions.documents.find_one({"_id": key, "retired": False})
    if definition is None:
        raise NotFound(f"there is no segment {key!r}")
    return definition


async def _shown(documents: list[Document], definitions: View, members: View) -> list[dict[str, Any]]:
    noted = await definitions.database[EVALUATIONS].find({}).to_list()
    shown: list[dict[str, Any]] = []
    for definition in documents:
        progress = progress_of(definition["_id"], definition["version"], noted)
        shown.append(
            {
                "key": definition["_id"],
                "segment_id": definition["segment_id"],
                "name": definition["name"],
                "description": definition["description"],
                "condition": definition["condition"],
                "version": definition["version"],
                "status": progress["status"],
                "members": await members.lookup.count_documents({"member_of": definition["_id"]}),
                "evaluated": {"done": progress["done"], "total": progress["total"]},
                "defined_at": rfc3339(definition["defined_at"]),
            }
        )
    return shown
