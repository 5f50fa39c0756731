"""The views of feedback: one document per survey as it stands, and one per response with its answers."""

from datetime import datetime
from typing import NotRequired, TypedDict

from pymongo import IndexModel

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.feedback import SurveyAnswered, SurveyPublished
from crm_shared.projections import Document, Projection, unexpected


class QuestionDocument(TypedDict):
    """A question of a survey, as it was published."""

    key: str
    kind: str
    prompt: str
    required: bool
    choices: list[str]


class SurveyDocument(TypedDict):
    """A survey as it stands. `_id` is its id; `published_at` is of the first publication, `updated_at` of the last."""

    _id: NotRequired[str]
    published_at: datetime
    survey_id: str
    key: str
    title: str
    version: int
    questions: list[QuestionDocument]
    updated_at: datetime
    positions: NotRequired[dict[str, int]]
    revision: NotRequired[int]


class AnswerDocument(TypedDict):
    """The answer to one question: `number`, `choice` or `text`, whichever its kind takes; the others are None."""

    question: str
    kind: str
    number: int | None
    choice: str | None
    text: str | None


class ResponseDocument(TypedDict):
    """What a customer answered to a survey. `_id` is the response's own id."""

    _id: NotRequired[str]
    survey_id: str
    survey_key: str
    survey_version: int
    customer_id: str
    answers: list[AnswerDocument]
    channel: str | None
    answered_at: datetime
    positions: NotRequired[dict[str, int]]
    revision: NotRequired[int]


def fold_survey(document: Document | None, event: PublicEvent) -> Document:
    """The survey after the event."""
    match event.payload:
        case SurveyPublished() as published:
            survey: SurveyDocument = {
                "published_at": document["published_at"] if document else event.occurred_at,
                "survey_id": published.survey_id,
                "key": published.key,
                "title": published.title,
                "version": published.version,
                "questions": [
                    {
                        "key": question.key,
                        "kind": question.kind,
                        "prompt": question.prompt,
                        "required": question.required,
                        "choices": question.choices,
                    }
                    for question in published.questions
                ],
                "updated_at": event.occurred_at,
            }
            return {**(document or {}), **survey}
        case _:
            unexpected(event)


def fold_response(document: Document | None, event: PublicEvent) -> Document:
    """The response after the event."""
    match event.payload:
        case SurveyAnswered() as answered:
            response: ResponseDocument = {
                "survey_id": answered.survey_id,
                "survey_key": answered.survey_key,
                "survey_version": answered.survey_version,
                "customer_id": answered.customer_id,
                "answers": [
                    {
                        "question": answer.question,
                        "kind": answer.kind,
                        "number": answer.number,
                        "choice": answer.choice,
                        "text": answer.text,
                    }
                    for answer in answered.answers
                ],
                "channel": answered.channel,
                "answered_at": event.occurred_at,
            }
            return {**response}
        case _:
            unexpected(event)


def response_id(event: PublicEvent) -> str:
    """The id of the response that the event is about."""
    match event.payload:
        case SurveyAnswered(response_id=response):
            return response
        case _:
            unexpected(event)


SURVEYS = Projection(
    name="feedback-service.surveys",
    events=[SurveyPublished],
    collection="surveys",
    fold=fold_survey,
    indexes={"surveys": [IndexModel("key", unique=True)]},
)

RESPONSES = Projection(
    name="feedback-service.responses",
    events=[SurveyAnswered],
    collection="responses",
    fold=fold_response,
    document_id=response_id,
    indexes={"responses": [IndexModel("survey_id")]},
)
