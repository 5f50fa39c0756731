"""Surveys over HTTP: publishing them, and showing them as they stand."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Response
from pydantic import BaseModel, Field

from crm_shared.http.app import api_router
from crm_shared.http.commands import CommandDep
from crm_shared.http.fields import Name, RequestModel, Word
from crm_shared.http.problems import documented
from crm_shared.http.queries import Cursor, Limit, Page
from crm_shared.http.views import view_of_all, view_of_one
from crm_shared.queries import View
from feedback_service import queries
from feedback_service.application import PublishSurvey
from feedback_service.domain import MOST_CHOICES, Question
from feedback_service.projections import SURVEYS

router = api_router()

SurveyKey = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="The survey's readable key", examples=["after-purchase"])
]
Kind = Literal["nps", "csat", "ces", "rating", "choice", "text"]


class QuestionIn(RequestModel):
    """A question to ask."""

    key: Word = Field(description="Unique within the survey", examples=["recommend"])
    kind: Kind = Field(
        description="nps: 0-10; csat: 1-5; ces: 1-7, 7 the easiest; rating: 1-5; choice: one of `choices`; "
        "text: 1-2,000 characters"
    )
    prompt: Name = Field(description="What is asked")
    required: bool = Field(False, strict=True, description="Whether an answer must be given")
    choices: list[Name] = Field(
        default=[], max_length=MOST_CHOICES, description="Of a choice question: 2 to 50, all different"
    )


class SurveyIn(RequestModel):
    """A survey to publish."""

    title: Name
    questions: list[QuestionIn] = Field(min_length=1, max_length=50, description="In the order of asking")

    def to_command(self, key: str) -> PublishSurvey:
        """Its publication under this key."""
        questions = tuple(
            Question(question.key, question.kind, question.prompt, question.required, tuple(question.choices))
            for question in self.questions
        )
        return PublishSurvey(key, self.title, questions)


class SurveyPublishedOut(BaseModel):
    """The survey as it is published now; `position` is the log position of its last publication."""

    survey_id: UUID
    key: str
    version: int
    created: bool = Field(description="False when it was published before")
    position: int


class QuestionOut(BaseModel):
    """A question of a survey."""

    key: str
    kind: str
    prompt: str
    required: bool
    choices: list[str]


class SurveyOut(BaseModel):
    """A survey as it stands."""

    survey_id: UUID
    key: str
    title: str
    version: int
    questions: list[QuestionOut]
    published_at: datetime = Field(description="For the first time")
    updated_at: datetime


@router.put(
    "/v1/surveys/{key}",
    summary="Publish a survey, or publish it anew with a higher version",
    description="The same content again changes nothing and answers 200 with the position of the last publication.",
    responses={
        200: {"model": SurveyPublishedOut, "description": "It was published before"},
        201: {"model": SurveyPublishedOut, "description": "It is new"},
        **documented(400, 409, 413, 415, 422, 503),
    },
    response_model=SurveyPublishedOut,
    tags=["surveys"],
)
async def publish_survey(key: SurveyKey, body: SurveyIn, call: CommandDep) -> Response:
    return await call.answer(body.to_command(key))


@router.get(
    "/v1/surveys",
    summary="The surveys, by key",
    responses=documented(422, 503),
    tags=["surveys"],
)
async def list_surveys(
    surveys: Annotated[View, view_of_all(SURVEYS)], limit: Limit = 50, cursor: Cursor = None
) -> Page[SurveyOut]:
    documents, next_cursor = await queries.by_key(surveys, limit=limit, cursor=cursor)
    return Page(items=[_survey_out(document) for document in documents], next_cursor=next_cursor)


@router.get(
    "/v1/surveys/{key}",
    summary="One survey",
    responses=documented(404, 422, 503),
    tags=["surveys"],
)
async def get_survey(key: SurveyKey, surveys: Annotated[View, view_of_one(SURVEYS)]) -> SurveyOut:
    return _survey_out(await queries.survey(surveys, key))


def _survey_out(document: Mapping[str, Any]) -> SurveyOut:
    return SurveyOut.model_validate({name: document[name] for name in SurveyOut.model_fields})
