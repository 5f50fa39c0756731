"""Answers to surveys over HTTP: recording them, and their results."""

from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field, JsonValue, StringConstraints

from crm_shared.http.app import api_router
from crm_shared.http.commands import CommandDep
from crm_shared.http.fields import CustomerId, Occurred, RequestModel, Word
from crm_shared.http.problems import documented
from crm_shared.http.views import view_of_all
from crm_shared.queries import View
from feedback_service import queries
from feedback_service.api.surveys import SurveyKey
from feedback_service.application import AnswerSurvey
from feedback_service.domain import ResponseFacts
from feedback_service.projections import RESPONSES, SURVEYS

router = api_router()

GivenId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]


class AnswersIn(RequestModel):
    """What a customer answered to a survey."""

    customer_id: CustomerId = Field(description="May be one that contacts has not announced (yet)")
    answers: Annotated[
        dict[str, JsonValue],
        Field(
            max_length=50,
            description="Question key to an integer (nps, csat, ces, rating) or text (choice, text)",
            examples=[{"recommend": 9, "why": "Nhân viên rất thân thiện."}],
            json_schema_extra={"additionalProperties": {"type": ["integer", "string"]}, "minProperties": 1},
        ),
    ]
    channel: Word | None = Field(None, description="How the answer came in; open enumeration", examples=["email"])
    answered_at: Occurred | None = Field(None, description="When, if not now")
    response_id: GivenId | None = Field(
        None, description="Your id of this response, unique within the survey: sending it again stores nothing"
    )

    def to_facts(self) -> ResponseFacts:
        """The response in the terms of the domain."""
        return ResponseFacts(
            customer_id=str(self.customer_id),
            answers=self.answers,
            channel=self.channel,
            answered_at=self.answered_at,
            given_id=self.response_id,
        )


class SurveyAnsweredOut(BaseModel):
    """The response as it is recorded; `response_id` is Relata's own, as public events have it."""

    response_id: UUID
    created: bool = Field(description="False when it was on record already")
    position: int


class NpsOut(BaseModel):
    """Net Promoter Score: percentage of promoters (9-10) minus percentage of detractors (0-6)."""

    score: float | None = Field(description="From -100 to 100, rounded to one place; null without answers")
    promoters: int
    passives: int
    detractors: int


class CsatOut(BaseModel):
    """Customer satisfaction: the percentage of answers 4 and 5."""

    score: float | None = Field(description="From 0 to 100, rounded to one place; null without answers")
    satisfied: int
    count: int


class QuestionResultsOut(BaseModel):
    """The results of one question."""

    key: str
    kind: str
    prompt: str
    count: int = Field(description="How many answered it")
    nps: NpsOut | None = Field(description="Of a question of kind nps")
    csat: CsatOut | None = Field(description="Of a question of kind csat")
    mean: float | None = Field(description="Of csat, ces and rating, rounded to two places; null without answers")
    distribution: dict[str, int] = Field(description="Value or choice to how often it was given; empty for text")


class ResultsOut(BaseModel):
    """The results of a survey, over the responses to all of its versions."""

    survey: str = Field(description="The survey's key")
    survey_id: UUID
    version: int = Field(description="The version whose questions are shown")
    title: str
    count: int = Field(description="How many responses there are")
    questions: list[QuestionResultsOut]


@router.post(
    "/v1/surveys/{key}/answers",
    summary="Record what a customer answered",
    description="Answers are checked against the survey as it stands; its version is recorded with them.",
    status_code=201,
    responses={
        200: {"model": SurveyAnsweredOut, "description": "The same `response_id` was recorded with the same content"},
        **documented(400, 404, 409, 413, 415, 422, 503),
    },
    response_model=SurveyAnsweredOut,
    tags=["answers"],
)
async def answer_survey(key: SurveyKey, body: AnswersIn, call: CommandDep) -> Response:
    return await call.answer(AnswerSurvey(key, body.to_facts()))


@router.get(
    "/v1/surveys/{key}/results",
    summary="The results of a survey: NPS, CSAT, means, distributions and counts",
    description="All versions together: an answer counts while the survey has a question of its key and kind.",
    responses=documented(404, 422, 503),
    tags=["answers"],
)
async def get_results(
    key: SurveyKey,
    surveys: Annotated[View, view_of_all(SURVEYS)],
    responses: Annotated[View, view_of_all(RESPONSES)],
) -> ResultsOut:
    survey = await queries.survey(surveys, key)
    return ResultsOut.model_validate(await queries.results(responses, survey))
