"""Reads of feedback's views: surveys, and a survey's results, computed from its responses."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pymongo import ASCENDING

from crm_shared.domain import NotFound
from crm_shared.mongo import Document
from crm_shared.queries import View, read_cursor, write_cursor
from feedback_service import scores


async def survey(surveys: View, key: str) -> Document:
    """The survey with this key, as it stands; raises `NotFound`."""
    document = await surveys.documents.find_one({"key": key})
    if document is None:
        raise NotFound(f"there is no survey {key}")
    return document


async def by_key(surveys: View, *, limit: int, cursor: str | None) -> tuple[list[Document], str | None]:
    """Up to `limit` surveys by key, and the cursor of the next page if there is one."""
    last = read_cursor(cursor, str, of=("surveys",))[0] if cursor is not None else ""
    documents = await surveys.documents.find({"key": {"$gt": last}}).sort("key", ASCENDING).limit(limit + 1).to_list()
    page = documents[:limit]
    return page, write_cursor(page[-1]["key"], of=("surveys",)) if len(documents) > limit else None


async def results(responses: View, survey: Mapping[str, Any]) -> Document:
    """The results of a survey over all responses to it, whichever version they answered.

    Answers whose question has left the survey, or is of another kind now, are not counted; a choice that is no
    longer offered is.
    """
    counts = await _counts(responses, survey["survey_id"])
    return {
        "survey": survey["key"],
        "survey_id": survey["survey_id"],
        "version": survey["version"],
        "title": survey["title"],
        "count": await responses.documents.count_documents({"survey_id": survey["survey_id"]}),
        "questions": [
            question_results(question, counts.get((question["key"], question["kind"]), {}))
            for question in survey["questions"]
        ],
    }


def question_results(question: Mapping[str, Any], counts: Mapping[Any, int]) -> dict[str, Any]:
    """The results of one question, from how often each value was answered (text counts under None)."""
    kind = question["kind"]
    if kind in scores.SCALES:
        least, greatest = scores.SCALES[kind]
        offered: list[Any] = list(range(least, greatest + 1))
    else:
        offered = question["choices"]
    known = {value: counts.get(value, 0) for value in offered}
    past = sorted((value, count) for value, count in counts.items() if value is not None and value not in known)
    return {
        "key": question["key"],
        "kind": kind,
        "prompt": question["prompt"],
        "count": sum(counts.values()),
        "nps": asdict(scores.nps(counts)) if kind == "nps" else None,
        "csat": asdict(scores.csat(counts)) if kind == "csat" else None,
        "mean": scores.mean(counts) if kind in ("csat", "ces", "rating") else None,
        "distribution": {str(value): count for value, count in [*known.items(), *past]},
    }


async def _counts(responses: View, survey_id: str) -> Mapping[tuple[str, str], Mapping[Any, int]]:
    """How often each value was answered, per question key and kind."""
    pipeline: list[Document] = [
        {"$match": {"survey_id": survey_id}},
        {"$unwind": "$answers"},
        {
            "$group": {
                "_id": {
                    "question": "$answers.question",
                    "kind": "$answers.kind",
                    "number": "$answers.number",
                    "choice": "$answers.choice",
                },
                "count": {"$sum": 1},
            }
        },
    ]
    counts: dict[tuple[str, str], dict[Any, int]] = defaultdict(dict)
    async for row in await responses.documents.aggregate(pipeline):
        answer = row["_id"]
        value = answer.get("choice") if answer.get("number") is None else answer["number"]
        counts[answer["question"], answer["kind"]][value] = row["count"]
    return counts
