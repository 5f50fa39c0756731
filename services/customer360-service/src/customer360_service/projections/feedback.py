"""What a customer answered: the section `feedback`, and what each of its events makes of it."""

from datetime import datetime
from typing import TypedDict

from crm_contracts.events.feedback import QuestionAnswer, SurveyAnswered
from customer360_service.projections.nps import nps_group
from customer360_service.projections.times import later


class ResponseDocument(TypedDict):
    """The latest response to one survey, by the time of answering. `answers` maps the question's key to the answer."""

    response_id: str
    answered_at: datetime
    answers: dict[str, int | str | None]


class NpsDocument(TypedDict):
    """The latest answer to an NPS question in any survey, 0 to 10, and when it was given."""

    number: int
    at: datetime


class FeedbackSection(TypedDict, total=False):
    """The section `feedback`.

    `count` responses, the last given at `last_at`; `latest` maps the survey's key to the latest one. `nps_counts` says
    how many answers fell into each of `NPS_GROUPS`; it and `nps` are absent before the first such answer.
    """

    count: int
    last_at: datetime
    latest: dict[str, ResponseDocument]
    nps_counts: dict[str, int]
    nps: NpsDocument
    first_at: datetime
    """When the earliest of its events happened: every section has it."""


def answered(section: FeedbackSection, data: SurveyAnswered, at: datetime) -> FeedbackSection:
    """With one more response. Of two at the same time, the one recorded later counts as the latest."""
    after: FeedbackSection = {
        **section,
        "count": section.get("count", 0) + 1,
        "last_at": later(at, section.get("last_at")),
    }
    surveys = section.get("latest", {})
    known = surveys.get(data.survey_key)
    if known is None or known["answered_at"] <= at:
        response: ResponseDocument = {
            "response_id": data.response_id,
            "answered_at": at,
            "answers": {answer.question: _value(answer) for answer in data.answers},
        }
        after["latest"] = {**surveys, data.survey_key: response}
    for answer in data.answers:
        group = nps_group(answer.kind, answer.number)
        if group is not None and answer.number is not None:
            counts = after.get("nps_counts", {})
            after["nps_counts"] = {**counts, group: counts.get(group, 0) + 1}
            if "nps" not in after or after["nps"]["at"] <= at:
                after["nps"] = {"number": answer.number, "at": at}
    return after


def _value(answer: QuestionAnswer) -> int | str | None:
    return next((value for value in (answer.number, answer.choice, answer.text) if value is not None), None)
