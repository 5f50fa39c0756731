"""Answering surveys: what is recorded, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from crm_shared.domain import InvalidInput, derived_id
from crm_shared.testing import Then, given, stored
from feedback_service.application import AnswerSurvey, PublishSurvey, SurveyAnswered
from feedback_service.domain import Question, Response, ResponseFacts, Survey

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
QUESTIONS = (
    Question("recommend", "nps", "Giới thiệu?", required=True),
    Question("satisfied", "csat", "Hài lòng?"),
    Question("effort", "ces", "Dễ dàng?"),
    Question("stars", "rating", "Mấy sao?"),
    Question("where", "choice", "Ở đâu?", choices=("Hà Nội", "Huế")),
    Question("why", "text", "Vì sao?"),
)
PUBLISHED = PublishSurvey("s", "Sau khi mua hàng", QUESTIONS)
FIRST = ResponseFacts(CUSTOMER, {"recommend": 1}, given_id="r-1")
FIRST_ID = str(derived_id("response", "s", "r-1"))


def answer(answers: dict[str, Any], **rest: Any) -> AnswerSurvey:
    return AnswerSurvey("s", ResponseFacts(CUSTOMER, answers, **rest))


def refusals(then: Then) -> list[tuple[str, str]]:
    assert isinstance(then.error, InvalidInput)
    return [(one.field, one.code) for one in then.error.errors]


def test_answers_are_recorded_in_the_order_and_with_the_kinds_of_the_questions() -> None:
    given(PUBLISHED).when(answer({"why": "Tốt\nlắm", "where": "Huế", "recommend": 9}, channel="email")).then(
        stored(
            Response.Created,
            survey_id=str(Survey.id_of("s")),
            survey_key="s",
            survey_version=1,
            customer_id=CUSTOMER,
            channel="email",
            answers=[
                {"question": "recommend", "kind": "nps", "value": 9},
                {"question": "where", "kind": "choice", "value": "Huế"},
                {"question": "why", "kind": "text", "value": "Tốt\nlắm"},
            ],
        )
    )


def test_the_version_that_was_answered_is_recorded() -> None:
    given(PUBLISHED, PublishSurvey("s", "Tên mới", QUESTIONS)).when(answer({"recommend": 9})).then(
        stored(Response.Created, survey_version=2)
    )


def test_when_it_was_answered_is_when_it_happened() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)

    given(PUBLISHED).when(answer({"recommend": 9}, answered_at=moment)).then(
        stored(Response.Created, answered_at=moment, occurred_at=moment)
    )


def test_a_survey_that_was_never_published_is_not_found() -> None:
    given().when(answer({"recommend": 9})).refused("not_found")


def test_responses_without_an_id_are_all_different() -> None:
    first = given(PUBLISHED).when(answer({"recommend": 9}))
    second = given(PUBLISHED, *first.events).when(answer({"recommend": 9}))

    assert first.result.created
    assert second.result.created
    assert first.result.response_id != second.result.response_id


def test_the_same_response_again_stores_nothing_whatever_became_of_the_survey() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)
    first = answer({"recommend": 9, "why": "ế"}, given_id="r-1", answered_at=moment)
    # Published anew, the survey would not even take these answers any more.
    changed = PublishSurvey("s", "Khác", (Question("other", "nps", "?"),))
    again = answer(
        {"why": "e\u0302\u0301", "recommend": 9},
        given_id="r-1",
        answered_at=moment.astimezone(timezone(timedelta(hours=7))),
    )

    given(PUBLISHED, first, changed).when(again).then().answers(SurveyAnswered(FIRST_ID, created=False))


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
def test_the_same_response_id_with_other_content_is_a_conflict(other: dict[str, Any]) -> None:
    then = given(PUBLISHED, AnswerSurvey("s", FIRST)).when(AnswerSurvey("s", replace(FIRST, **other)))

    then.refused("response_conflict")
    assert then.error is not None
    assert then.error.extra == {"response_id": FIRST_ID}


def test_the_same_response_id_in_another_survey_is_another_response() -> None:
    other = given(PUBLISHED, PublishSurvey("t", "T", QUESTIONS), AnswerSurvey("s", FIRST)).when(
        AnswerSurvey("t", FIRST)
    )

    assert other.result.created
    assert other.result.response_id != FIRST_ID


@pytest.mark.parametrize("value", [True, False, 9.0, 9.5, "9", None, [9], {"value": 9}, 1e20])
def test_a_scale_is_answered_with_an_integer(value: Any) -> None:
    given(PUBLISHED).when(answer({"recommend": value})).refused("not_an_integer", at="/answers/recommend")


@pytest.mark.parametrize(
    ("question", "least", "greatest"), [("recommend", 0, 10), ("satisfied", 1, 5), ("effort", 1, 7), ("stars", 1, 5)]
)
def test_a_scale_is_answered_within_its_bounds(question: str, least: int, greatest: int) -> None:
    for value in (least, greatest):
        given(PUBLISHED).when(answer({"recommend": 5, question: value})).then(stored(Response.Created))
    for value in (least - 1, greatest + 1):
        given(PUBLISHED).when(answer({"recommend": 5, question: value})).refused(
            "out_of_scale", at=f"/answers/{question}"
        )


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
def test_choices_and_texts_are_checked(question: str, value: Any, code: str) -> None:
    given(PUBLISHED).when(answer({"recommend": 5, question: value})).refused(code, at=f"/answers/{question}")


def test_a_text_may_have_two_thousand_characters() -> None:
    given(PUBLISHED).when(answer({"recommend": 5, "why": "ế" * 2000})).then(stored(Response.Created))


def test_required_questions_must_be_answered_and_others_need_not() -> None:
    for answers in ({"stars": 5}, {}):
        then = given(PUBLISHED).when(answer(answers))
        assert refusals(then) == [("/answers/recommend", "required_answer_missing")]

    given(PUBLISHED).when(answer({"recommend": 0})).then(
        stored(Response.Created, answers=[{"question": "recommend", "kind": "nps", "value": 0}])
    )


def test_a_response_answers_something() -> None:
    optional = PublishSurvey("s", "T", (Question("why", "text", "?"),))

    given(optional).when(answer({})).refused("no_answers", at="/answers")


def test_every_wrong_answer_is_named_by_its_json_pointer() -> None:
    then = given(PUBLISHED).when(answer({"a/b~c": 1, "stars": 6, "effort": "x"}))

    assert refusals(then) == [
        ("/answers/a~1b~0c", "unknown_question"),
        ("/answers/effort", "not_an_integer"),
        ("/answers/recommend", "required_answer_missing"),
        ("/answers/stars", "out_of_scale"),
    ]
