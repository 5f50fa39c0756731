"""How far the evaluation of everybody is: noted by the policy per partition, and read by queries; nothing is folded.

Losing it is harmless: everybody is evaluated again, and nobody moves who is where the facts lead.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NotRequired, TypedDict

COLLECTION = "evaluations"


class Evaluated(TypedDict):
    """The customers of a partition have been decided about for a version of a segment, negative once it is retired.

    `generation` is that of the view of facts by which they were.
    """

    version: int
    generation: int
    customers: int


class Running(TypedDict):
    """An evaluation under way: for these versions `done` of `total` customers have been decided about."""

    versions: dict[str, int]
    done: int
    total: int


class EvaluationDocument(TypedDict):
    """One of so many `partitions`, its number as `_id`; `evaluated` is by the keys of segments."""

    _id: NotRequired[int]
    partitions: int
    evaluated: dict[str, Evaluated]
    running: Running | None


class Progress(TypedDict):
    """How far the evaluation for a definition is, over all partitions that have begun."""

    status: Literal["evaluating", "ready"]
    done: int
    total: int


def progress_of(key: str, version: int, noted: Iterable[Mapping[str, Any]]) -> Progress:
    """How far the evaluation for this version of a segment is, by the documents of all partitions."""
    ready = wanted = done = total = 0
    for document in noted:
        wanted = document["partitions"]
        evaluated, running = document["evaluated"].get(key), document["running"]
        if evaluated is not None and evaluated["version"] == version:
            ready += 1
            done += evaluated["customers"]
            total += evaluated["customers"]
        elif running is not None and running["versions"].get(key) == version:
            done += running["done"]
            total += running["total"]
    return {"status": "ready" if ready and ready == wanted else "evaluating", "done": done, "total": total}
