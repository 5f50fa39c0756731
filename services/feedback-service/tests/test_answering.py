"""Answering surveys: the rules, decided against a real event store."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from crm_shared.application import Command, Outcome, Writer
from crm_shared.domain import Conflict, InvalidInput, NotFound
from feedback_service.application import Feedback, RecordedResponse
from feedback_service.domain import Question, Response, Survey

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
QUESTIONS = (
    Question("recommend", "nps", "Giới thiệu?", required=True),
    Question("satisfied", "csat", "Hài lòng?"),
    Question("effort", "ces", "Dễ dàng?"),
    Question("stars", "rating", "Mấy sao?"),
    Question("where", "choice", "Ở đâu?", choices=("Hà Nội", "Huế")),
    Question("why", "text", "Vì sao?"),
)


@pytest.fixture
def feedback(open_application: Callable[[type[Feedback]], Feedback]) -> Feedback:
    return open_application(Feedback)


@pytest.fixture
async def writer(feedback: Feedback, open_writer: Callable[[Feedback], Writer]) -> Writer:
    """A writer of a store in which the survey is published."""
    writer = open_writer(feedback)
    await writer.run(publish(feedback))
    return writer


def publish(feedback: Feedback, title: str = "Sau khi mua hàng", *questions: Question) -> Command[Any]:
    return Command(lambda unit: feedback.publish_survey(unit, "s", title=title, questions=questions or QUESTIONS))


def answer(
    feedback: Feedback, answers: dict[str, Any], *, key: str = "s", customer_id: str = CUSTOMER, **rest: Any
) -> Command[RecordedResponse]:
    return Command(lambda unit: feedback.answer_survey(unit, key, customer_id=customer_id, answers=answers, **rest))


def response_in(feedback: Feedback, response_id: str) -> Response:
    response: Response = feedback.repository.get(UUID(response_id))
    return response


async def test_answers_are_recorded_in_the_order_and_with_the_kinds_of_the_questions(
    feedback: Feedback, writer: Writer
) -> None:
    outcome = await writer.run(answer(feedback, {"why": "Tốt\nlắm", "where": "Huế", "recommend": 9}, channel="email"))

    response = response_in(feedback, outcome.value.response_id)
    assert outcome.value.created
    assert (response.survey_key, response.survey_version, response.customer_id) == ("s", 1, CUSTOMER)
    assert response.channel == "email"
    assert response.answers == [
        {"question": "recommend", "kind": "nps", "value": 9},
        {"question": "where", "kind": "choice", "value": "Huế"},
        {"question": "why", "kind": "text", "value": "Tốt\nlắm"},
    ]


async def test_the_version_that_was_answered_is_recorded(feedback: Feedback, writer: Writer) -> None:
    await writer.run(publish(feedback, "Tên mới"))

    outcome = await writer.run(answer(feedback, {"recommend": 9}))

    assert response_in(feedback, outcome.value.response_id).survey_version == 2


async def test_a_survey_that_was_never_published_is_not_found(feedback: Feedback, writer: Writer) -> None:
    with pytest.raises(NotFound):
        await writer.run(answer(feedback, {"recommend": 9}, key="unknown"))


async def test_responses_without_an_id_are_all_different(feedback: Feedback, writer: Writer) -> None:
    first = await writer.run(answer(feedback, {"recommend": 9}))
    second = await writer.run(answer(feedback, {"recommend": 9}))

    assert first.value.response_id != second.value.response_id


async def test_the_same_response_again_stores_nothing_and_answers_with_the_first_position(
    feedback: Feedback, writer: Writer
) -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)
    first = await writer.run(answer(feedback, {"recommend": 9, "why": "ế"}, given_id="r-1", answered_at=moment))
    # Published anew, the survey would not even take these answers any more.
    await writer.run(publish(feedback, "Khác", Question("other", "nps", "?")))

    again = await writer.run(
        answer(
            feedback,
            {"why": "e\u0302\u0301", "recommend": 9},
            given_id="r-1",
            answered_at=moment.astimezone(timezone(timedelta(hours=7))),
        )
    )

    assert again == Outcome(RecordedResponse(first.value.response_id, created=False), first.position)


async def test_the_same_response_twice_in_one_batch_is_recorded_once(feedback: Feedback, writer: Writer) -> None:
    first, second = await writer.run_all([answer(feedback, {"recommend": 9}, given_id="r-1") for _ in range(2)])

    assert isinstance(first, Outcome)
    assert second == Outcome(RecordedResponse(first.value.response_id, created=False), first.position)


@pytest.mark.parametrize(
    "other",
    [
        {"answers": {"recommend": 2}},
        {"answers": {"recommend": True}},
        {"answers": {"recommend": 1.0}},
        {"answers": {"recommend": 1, "why": "!"}},
        {"answers": {"recommend": 1, "unknown": []}},
        {"answers": {}},
        {"channel": "web"},
        {"answered_at": datetime(2026, 1, 2, tzinfo=UTC)},
        {"customer_id": "00000000-0000-4000-8000-000000000000"},
    ],
)
async def test_the_same_response_id_with_other_content_is_a_conflict(
    feedback: Feedback, writer: Writer, other: dict[str, Any]
) -> None:
    content: dict[str, Any] = {"answers": {"recommend": 1}, "given_id": "r-1"}
    first = await writer.run(answer(feedback, **content))

    with pytest.raises(Conflict) as conflict:
        await writer.run(answer(feedback, **{**content, **other}))

    assert conflict.value.code == "response_conflict"
    assert conflict.value.extra == {"response_id": first.value.response_id}


async def test_response_ids_belong_to_their_survey(feedback: Feedback, writer: Writer) -> None:
    await writer.run(Command(lambda unit: feedback.publish_survey(unit, "t", title="T", questions=QUESTIONS)))

    one = await writer.run(answer(feedback, {"recommend": 1}, given_id="r-1"))
    other = await writer.run(answer(feedback, {"recommend": 2}, key="t", given_id="r-1"))

    assert other.value.created
    assert other.value.response_id != one.value.response_id


@pytest.fixture
def survey() -> Survey:
    return Survey.publish("s", "Sau khi mua hàng", QUESTIONS)


def refused(survey: Survey, answers: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as error:
        survey.check(answers)
    return [(one.field, one.code) for one in error.value.errors]


@pytest.mark.parametrize("value", [True, False, 9.0, 9.5, "9", None, [9], {"value": 9}, 1e20])
def test_a_scale_is_answered_with_an_integer(survey: Survey, value: Any) -> None:
    assert refused(survey, {"recommend": value}) == [("/answers/recommend", "not_an_integer")]


@pytest.mark.parametrize(
    ("question", "least", "greatest"), [("recommend", 0, 10), ("satisfied", 1, 5), ("effort", 1, 7), ("stars", 1, 5)]
)
def test_a_scale_is_answered_within_its_bounds(survey: Survey, question: str, least: int, greatest: int) -> None:
    for value in (least, greatest):
        assert survey.check({"recommend": 5, question: value})
    for value in (least - 1, greatest + 1):
        assert refused(survey, {"recommend": 5, question: value}) == [(f"/answers/{question}", "out_of_scale")]


@pytest.mark.parametrize(
    ("question", "value", "code"),
    [
        ("where", "Đà Nẵng", "not_a_choice"),
        ("where", "huế", "not_a_choice"),
        ("where", "", "not_a_choice"),
        ("where", 1, "not_text"),
        ("where", ["Huế"], "not_text"),
        ("why", "", "text_length"),
        ("why", "ế" * 2001, "text_length"),
        ("why", 5, "not_text"),
        ("why", None, "not_text"),
    ],
)
def test_choices_and_texts_are_checked(survey: Survey, question: str, value: Any, code: str) -> None:
    assert refused(survey, {"recommend": 5, question: value}) == [(f"/answers/{question}", code)]


def test_a_text_may_have_two_thousand_characters(survey: Survey) -> None:
    assert survey.check({"recommend": 5, "why": "ế" * 2000})


def test_required_questions_must_be_answered_and_others_need_not(survey: Survey) -> None:
    assert refused(survey, {"stars": 5}) == [("/answers/recommend", "required_answer_missing")]
    assert refused(survey, {}) == [("/answers/recommend", "required_answer_missing")]
    assert survey.check({"recommend": 0}) == [{"question": "recommend", "kind": "nps", "value": 0}]


def test_a_response_answers_something() -> None:
    survey = Survey.publish("s", "T", [Question("why", "text", "?")])

    assert refused(survey, {}) == [("/answers", "no_answers")]


def test_every_wrong_answer_is_named_by_its_json_pointer(survey: Survey) -> None:
    assert refused(survey, {"a/b~c": 1, "stars": 6, "effort": "x"}) == [
        ("/answers/a~1b~0c", "unknown_question"),
        ("/answers/effort", "not_an_integer"),
        ("/answers/recommend", "required_answer_missing"),
        ("/answers/stars", "out_of_scale"),
    ]
