"""Surveys and responses in a real event store: what comes back, and with which positions repetitions answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from crm_shared.application import Outcome, Submission, Writer
from crm_shared.domain import Conflict
from crm_shared.postgres import EventSourcedApplication
from feedback_service.application import AnswerSurvey, PublishSurvey, SurveyAnswered, SurveyPublished
from feedback_service.domain import Question, Response, ResponseFacts, Survey

QUESTIONS = (
    Question("recommend", "nps", "Giới thiệu?", required=True),
    Question("where", "choice", "Ở đâu?", choices=("Hà Nội", "Huế")),
)
FACTS = ResponseFacts(
    "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e",
    {"recommend": 9, "where": "Huế"},
    channel="email",
    answered_at=datetime(2026, 1, 2, 3, tzinfo=UTC),
    given_id="r-1",
)


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("feedback")


@pytest.fixture
def writer(store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]) -> Writer:
    return open_writer(store)


def publish(key: str = "s", *questions: Question) -> Submission[SurveyPublished]:
    return Submission(PublishSurvey(key, "Khảo sát", questions or QUESTIONS))


def answer(facts: ResponseFacts = FACTS) -> Submission[SurveyAnswered]:
    return Submission(AnswerSurvey("s", facts))


async def test_surveys_and_responses_come_back_as_they_were_recorded(
    store: EventSourcedApplication, writer: Writer
) -> None:
    await writer.run(publish())
    await writer.run(publish("s", *QUESTIONS[:1]))
    await writer.run(publish())
    outcome = await writer.run(answer())

    survey: Survey = store.repository.get(Survey.id_of("s"))
    response: Response = store.repository.get(UUID(outcome.value.response_id))
    assert (survey.title, survey.published_version, tuple(survey.questions)) == ("Khảo sát", 3, QUESTIONS)
    assert (response.survey_version, response.channel, response.answered_at) == (3, "email", FACTS.answered_at)
    response.expect(FACTS)


async def test_what_is_repeated_answers_with_the_first_position(
    store: EventSourcedApplication, writer: Writer, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    published = await writer.run(publish())
    answered = await writer.run(answer())
    await writer.run(publish("another"))

    for one in (writer, open_writer(store)):
        assert (await one.run(publish())).position == published.position
        assert await one.run(answer()) == Outcome(
            SurveyAnswered(answered.value.response_id, created=False), answered.position
        )


async def test_a_response_that_comes_twice_in_one_batch_is_recorded_once(
    store: EventSourcedApplication, writer: Writer
) -> None:
    other = ResponseFacts(FACTS.customer_id, {"recommend": 1}, given_id="r-1")

    await writer.run(publish())
    first, again, conflict = await writer.run_all([answer(), answer(), answer(other)])

    assert isinstance(first, Outcome)
    assert again == Outcome(SurveyAnswered(first.value.response_id, created=False), first.position)
    assert isinstance(conflict, Conflict)
    assert conflict.code == "response_conflict"
    assert store.recorder.max_notification_id() == 2
