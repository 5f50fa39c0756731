"""Publishing surveys: the rules, decided against a real event store."""

from collections.abc import Callable, Sequence

import pytest

from crm_shared.application import Command, Outcome, Writer
from crm_shared.domain import InvalidInput
from feedback_service.application import Feedback, PublishedSurvey
from feedback_service.domain import Question, Survey, check_questions

RECOMMEND = Question("recommend", "nps", "Bạn có giới thiệu chúng tôi cho bạn bè không?", required=True)
WHERE = Question("where", "choice", "Bạn mua ở đâu?", choices=("Hà Nội", "Huế"))


@pytest.fixture
def feedback(open_application: Callable[[type[Feedback]], Feedback]) -> Feedback:
    return open_application(Feedback)


@pytest.fixture
def writer(feedback: Feedback, open_writer: Callable[[Feedback], Writer]) -> Writer:
    return open_writer(feedback)


def publish(
    feedback: Feedback, *questions: Question, key: str = "after-purchase", title: str = "Sau khi mua hàng"
) -> Command[PublishedSurvey]:
    return Command(lambda unit: feedback.publish_survey(unit, key, title=title, questions=questions))


def survey_in(feedback: Feedback, key: str) -> Survey:
    survey: Survey = feedback.repository.get(Survey.id_of(key))
    return survey


async def test_a_new_survey_is_version_one(feedback: Feedback, writer: Writer) -> None:
    outcome = await writer.run(publish(feedback, RECOMMEND, WHERE))

    survey = survey_in(feedback, "after-purchase")
    assert outcome.value == PublishedSurvey(str(survey.id), 1, created=True)
    assert (survey.title, survey.questions) == ("Sau khi mua hàng", [RECOMMEND, WHERE])


async def test_the_same_content_again_stores_nothing_and_answers_with_the_first_position(
    feedback: Feedback, writer: Writer
) -> None:
    first = await writer.run(publish(feedback, RECOMMEND, WHERE))
    await writer.run(publish(feedback, RECOMMEND, key="another"))

    again = await writer.run(publish(feedback, RECOMMEND, WHERE))

    assert again == Outcome(PublishedSurvey(first.value.survey_id, 1, created=False), first.position)
    assert survey_in(feedback, "after-purchase").version == 1


@pytest.mark.parametrize(
    ("title", "questions"),
    [
        ("Tên mới", (RECOMMEND, WHERE)),
        ("Sau khi mua hàng", (WHERE, RECOMMEND)),
        ("Sau khi mua hàng", (RECOMMEND,)),
        ("Sau khi mua hàng", (Question("recommend", "nps", "Khác?", required=True), WHERE)),
    ],
)
async def test_changed_content_is_the_next_version(
    feedback: Feedback, writer: Writer, title: str, questions: Sequence[Question]
) -> None:
    first = await writer.run(publish(feedback, RECOMMEND, WHERE))

    changed = await writer.run(publish(feedback, *questions, title=title))

    survey = survey_in(feedback, "after-purchase")
    assert changed.value == PublishedSurvey(first.value.survey_id, 2, created=False)
    assert changed.position > first.position
    assert (survey.published_version, survey.title, tuple(survey.questions)) == (2, title, tuple(questions))


async def test_a_survey_that_breaks_a_rule_is_not_stored(feedback: Feedback, writer: Writer) -> None:
    with pytest.raises(InvalidInput):
        await writer.run(publish(feedback, RECOMMEND, RECOMMEND))

    assert Survey.id_of("after-purchase") not in feedback.repository


@pytest.mark.parametrize(
    ("questions", "field", "code"),
    [
        ([RECOMMEND, WHERE, RECOMMEND], "/questions/2/key", "duplicate_question"),
        ([Question("a", "nps", "?", choices=("1", "2"))], "/questions/0/choices", "choices_not_allowed"),
        ([Question("a", "text", "?", choices=("1", "2"))], "/questions/0/choices", "choices_not_allowed"),
        ([Question("a", "choice", "?")], "/questions/0/choices", "choices_count"),
        ([Question("a", "choice", "?", choices=("1",))], "/questions/0/choices", "choices_count"),
        (
            [Question("a", "choice", "?", choices=tuple(str(n) for n in range(51)))],
            "/questions/0/choices",
            "choices_count",
        ),
        (
            [RECOMMEND, Question("a", "choice", "?", choices=("1", "2", "1"))],
            "/questions/1/choices",
            "duplicate_choice",
        ),
    ],
)
def test_a_question_that_breaks_a_rule_is_named(questions: list[Question], field: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_questions(questions)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]


def test_every_question_that_breaks_a_rule_is_named() -> None:
    questions = [Question("a", "choice", "?"), Question("a", "nps", "?", choices=("1", "2"))]

    with pytest.raises(InvalidInput) as refused:
        check_questions(questions)

    assert [error.code for error in refused.value.errors] == [
        "choices_count",
        "duplicate_question",
        "choices_not_allowed",
    ]
