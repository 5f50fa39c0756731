"""Publishing surveys: what is recorded, and what is refused."""

from collections.abc import Sequence

import pytest

from crm_shared.domain import InvalidInput
from crm_shared.testing import given, stored
from feedback_service.application import PublishSurvey, SurveyPublished
from feedback_service.domain import Question, Survey

RECOMMEND = Question("recommend", "nps", "Bạn có giới thiệu chúng tôi cho bạn bè không?", required=True)
WHERE = Question("where", "choice", "Bạn mua ở đâu?", choices=("Hà Nội", "Huế"))
KEY, TITLE = "after-purchase", "Sau khi mua hàng"
SURVEY_ID = str(Survey.id_of(KEY))
FIRST = PublishSurvey(KEY, TITLE, (RECOMMEND, WHERE))


def test_a_new_survey_is_version_one() -> None:
    given().when(FIRST).then(
        stored(Survey.Created, key=KEY, title=TITLE, questions=[RECOMMEND.as_dict(), WHERE.as_dict()])
    ).answers(SurveyPublished(SURVEY_ID, KEY, 1, created=True))


def test_the_same_content_again_stores_nothing() -> None:
    given(FIRST).when(FIRST).then().answers(SurveyPublished(SURVEY_ID, KEY, 1, created=False))


@pytest.mark.parametrize(
    ("title", "questions"),
    [
        ("Tên mới", (RECOMMEND, WHERE)),
        (TITLE, (WHERE, RECOMMEND)),
        (TITLE, (RECOMMEND,)),
        (TITLE, (Question("recommend", "nps", "Khác?", required=True), WHERE)),
    ],
)
def test_changed_content_is_the_next_version(title: str, questions: Sequence[Question]) -> None:
    changed = PublishSurvey(KEY, title, questions)

    given(FIRST).when(changed).then(
        stored(Survey.Revised, version=2, title=title, questions=[one.as_dict() for one in questions])
    ).answers(SurveyPublished(SURVEY_ID, KEY, 2, created=False))
    given(FIRST, changed).when(changed).then().answers(SurveyPublished(SURVEY_ID, KEY, 2, created=False))
    given(FIRST, changed).when(FIRST).then(stored(Survey.Revised, version=3))


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
def test_a_question_that_breaks_a_rule_is_named_also_in_a_survey_that_is_known(
    questions: Sequence[Question], field: str, code: str
) -> None:
    given().when(PublishSurvey(KEY, TITLE, questions)).refused(code, at=field)
    given(FIRST).when(PublishSurvey(KEY, TITLE, questions)).refused(code, at=field)


def test_every_question_that_breaks_a_rule_is_named() -> None:
    questions = [Question("a", "choice", "?"), Question("a", "nps", "?", choices=("1", "2"))]

    refused = given().when(PublishSurvey(KEY, TITLE, questions))

    assert isinstance(refused.error, InvalidInput)
    assert [error.code for error in refused.error.errors] == [
        "choices_count",
        "duplicate_question",
        "choices_not_allowed",
    ]
