"""Results over many responses: what the store aggregates equals what counting them one by one gives."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.mongo import Document
from crm_shared.queries import View
from crm_shared.settings import Settings
from feedback_service import queries
from feedback_service.projections import RESPONSES

COUNT = 5_000
SURVEY: dict[str, Any] = {
    "survey_id": "s1",
    "key": "s",
    "title": "Khảo sát",
    "version": 3,
    "questions": [
        {"key": "recommend", "kind": "nps", "prompt": "?", "required": True, "choices": []},
        {"key": "where", "kind": "choice", "prompt": "?", "required": False, "choices": ["Hà Nội", "Huế"]},
        {"key": "stars", "kind": "rating", "prompt": "?", "required": False, "choices": []},
        {"key": "why", "kind": "text", "prompt": "?", "required": False, "choices": []},
    ],
}


@pytest_asyncio.fixture
async def database(settings_for: Callable[[str], Settings]) -> AsyncIterator[AsyncDatabase[Document]]:
    settings = settings_for("feedback")
    async with AsyncMongoClient[Document](settings.mongodb_uri, tz_aware=True) as client:
        yield client[settings.database_name("feedback")]


def answer(question: str, kind: str, **value: Any) -> dict[str, Any]:
    return {"question": question, "kind": kind, "number": None, "choice": None, "text": None, **value}


def response(number: int) -> Document:
    answers = [answer("recommend", "nps", number=number * 7 % 11)]
    if number % 2:
        answers.append(answer("where", "choice", choice=("Hà Nội", "Huế", "Đà Nẵng")[number % 3]))
    if number % 3:
        # Once a scale of another kind, and once a question that has left the survey.
        answers.append(answer("stars", "csat", number=5))
        answers.append(answer("gone", "rating", number=1))
    if number % 5 == 0:
        answers.append(answer("why", "text", text=f"lý do {number}"))
    return {"_id": f"r{number}", "survey_id": "s1" if number % 4 else "s2", "answers": answers}


async def test_the_results_of_thousands_of_responses_are_exact(database: AsyncDatabase[Document]) -> None:
    documents = [response(number) for number in range(COUNT)]
    await View(database, RESPONSES, 1).documents.insert_many(documents)

    results = await queries.results(View(database, RESPONSES, 1), SURVEY)

    ours = [document for document in documents if document["survey_id"] == "s1"]
    given = [one for document in ours for one in document["answers"]]
    scores = Counter(one["number"] for one in given if one["kind"] == "nps")
    places = Counter(one["choice"] for one in given if one["kind"] == "choice")
    recommend, where, stars, why = results["questions"]
    assert results["count"] == len(ours) == 3_750
    assert recommend["distribution"] == {str(value): scores[value] for value in range(11)}
    assert recommend["nps"]["promoters"] == scores[9] + scores[10]
    assert recommend["nps"]["detractors"] == sum(scores[value] for value in range(7))
    assert where["distribution"] == dict(places)
    assert (stars["count"], stars["mean"]) == (0, None)
    assert why["count"] == sum(one["kind"] == "text" for one in given)


async def test_a_survey_without_responses_has_empty_results(database: AsyncDatabase[Document]) -> None:
    results = await queries.results(View(database, RESPONSES, 1), SURVEY)

    assert results["count"] == 0
    assert results["questions"][0]["nps"] == {"score": None, "promoters": 0, "passives": 0, "detractors": 0}
    assert results["questions"][1]["distribution"] == {"Hà Nội": 0, "Huế": 0}
