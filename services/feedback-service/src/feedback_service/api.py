"""The HTTP interface of feedback: surveys, answers and results."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Request, Response
from pydantic import BaseModel, Field, JsonValue, StringConstraints

from crm_shared.application import Answer, Unit
from crm_shared.domain import NotFound
from crm_shared.http.app import api_router
from crm_shared.http.commands import CommandDep
from crm_shared.http.fields import Name, Occurred, RequestModel, Word
from crm_shared.http.problems import documented
from crm_shared.http.queries import AfterDep, Cursor, Limit, Page
from crm_shared.queries import read_cursor, write_cursor
from feedback_service import domain, projections, queries

router = api_router()

SurveyKey = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="The survey's readable key", examples=["after-purchase"])
]
Kind = Literal["nps", "csat", "ces", "rating", "choice", "text"]
GivenId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]


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
        default=[], max_length=domain.MOST_CHOICES, description="Of a choice question: 2 to 50, all different"
    )


class SurveyIn(RequestModel):
    """A survey to publish."""

    title: Name
    questions: list[QuestionIn] = Field(min_length=1, max_length=50, description="In the order of asking")


class SurveyStored(BaseModel):
    """The survey as it is published now."""

    survey_id: UUID
    key: str
    version: int
    position: int


class AnswersIn(RequestModel):
    """What a customer answered to a survey."""

    customer_id: UUID = Field(description="May be one that contacts has not announced (yet)")
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


class ResponseStored(BaseModel):
    """The response as it is recorded; `response_id` is Relata's own, as public events have it."""

    response_id: UUID
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


@router.put(
    "/v1/surveys/{key}",
    summary="Publish a survey, or publish it anew with a higher version",
    description="The same content again changes nothing and answers 200 with the position of the last publication.",
    responses={
        200: {"model": SurveyStored, "description": "It was published before"},
        201: {"model": SurveyStored, "description": "It is new"},
        **documented(400, 409, 413, 415, 422, 503),
    },
    response_model=SurveyStored,
    tags=["surveys"],
)
async def publish_survey(request: Request, key: SurveyKey, body: SurveyIn, call: CommandDep) -> Response:
    questions = [
        domain.Question(one.key, one.kind, one.prompt, one.required, tuple(one.choices)) for one in body.questions
    ]

    def decide(unit: Unit) -> Answer:
        published = request.app.state.runtime.application.publish_survey(
            unit, key, title=body.title, questions=questions
        )
        stored = {"survey_id": published.survey_id, "key": key, "version": published.version}
        return Answer(201 if published.created else 200, stored)

    return await call.answer(decide, reads=(domain.Survey.id_of(key),))


@router.post(
    "/v1/surveys/{key}/answers",
    summary="Record what a customer answered",
    description="Answers are checked against the survey as it stands; its version is recorded with them.",
    status_code=201,
    responses={
        200: {"model": ResponseStored, "description": "The same `response_id` was recorded with the same content"},
        **documented(400, 404, 409, 413, 415, 422, 503),
    },
    response_model=ResponseStored,
    tags=["answers"],
)
async def answer_survey(request: Request, key: SurveyKey, body: AnswersIn, call: CommandDep) -> Response:
    def decide(unit: Unit) -> Answer:
        recorded = request.app.state.runtime.application.answer_survey(
            unit,
            key,
            customer_id=str(body.customer_id),
            answers=body.answers,
            channel=body.channel,
            answered_at=body.answered_at,
            given_id=body.response_id,
        )
        return Answer(201 if recorded.created else 200, {"response_id": recorded.response_id})

    reads = [domain.Survey.id_of(key)]
    if body.response_id is not None:
        reads.append(domain.Response.id_of(key, body.response_id))
    return await call.answer(decide, reads=tuple(reads), occurred_at=body.answered_at)


@router.get(
    "/v1/surveys",
    summary="The surveys, by key",
    responses=documented(422, 503),
    tags=["surveys"],
)
async def list_surveys(request: Request, after: AfterDep, limit: Limit = 50, cursor: Cursor = None) -> Page[SurveyOut]:
    runtime = request.app.state.runtime
    last = read_cursor(cursor, str)[0] if cursor is not None else ""
    await runtime.progress(projections.SURVEYS_VIEW).wait_for(after)
    found = await queries.surveys(runtime.views, after=last, limit=limit + 1)
    items = [_survey_out(one) for one in found[:limit]]
    return Page(items=items, next_cursor=write_cursor(items[-1].key) if len(found) > limit else None)


@router.get(
    "/v1/surveys/{key}",
    summary="One survey",
    responses=documented(404, 422, 503),
    tags=["surveys"],
)
async def get_survey(request: Request, key: SurveyKey, after: AfterDep) -> SurveyOut:
    return _survey_out(await _survey(request, key, after))


@router.get(
    "/v1/surveys/{key}/results",
    summary="The results of a survey: NPS, CSAT, means, distributions and counts",
    description="All versions together: an answer counts while the survey has a question of its key and kind.",
    responses=documented(404, 422, 503),
    tags=["answers"],
)
async def get_results(request: Request, key: SurveyKey, after: AfterDep) -> ResultsOut:
    survey = await _survey(request, key, after)
    runtime = request.app.state.runtime
    await runtime.progress(projections.RESPONSES_VIEW).wait_for(after)
    return ResultsOut.model_validate(await queries.results(runtime.views, survey))


async def _survey(request: Request, key: str, after: Mapping[str, int]) -> Mapping[str, Any]:
    runtime = request.app.state.runtime
    await runtime.progress(projections.SURVEYS_VIEW).wait_for(after)
    survey = await queries.survey(runtime.views, key)
    if survey is None:
        raise NotFound(f"there is no survey {key}")
    return survey


def _survey_out(document: Mapping[str, Any]) -> SurveyOut:
    return SurveyOut.model_validate({name: document[name] for name in SurveyOut.model_fields})
