"""The folds of surveys and responses: pure, and fed with public events."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.feedback import Question, QuestionAnswer, SurveyAnswered, SurveyPublished
from crm_shared.projections import advance
from crm_shared.testing import public_event
from feedback_service.projections import RESPONSES, fold_response, fold_survey

SURVEY = "0d9c8b7a-6f5e-5d4c-8b3a-291807f6e5d4"
CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
RESPONSE = "8e7d6c5b-4a39-5281-8f70-6e5d4c3b2a19"


def published(version: int, *, day: int) -> PublicEvent:
    question = Question(key="recommend", kind="nps", prompt="?", required=True)
    data = SurveyPublished(survey_id=SURVEY, key="s", title=f"T{version}", version=version, questions=[question])
    return public_event(data, position=day, at=datetime(2026, 1, day, tzinfo=UTC))


@pytest.fixture
def answered() -> PublicEvent:
    data = SurveyAnswered(
        response_id=RESPONSE,
        survey_id=SURVEY,
        survey_key="s",
        survey_version=1,
        customer_id=CUSTOMER,
        answers=[QuestionAnswer(question="recommend", kind="nps", number=9)],
    )
    return public_event(data, position=2, at=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_survey_s_document_shows_its_latest_publication_and_remembers_the_first() -> None:
    first = fold_survey(None, published(1, day=1))

    second = fold_survey(first, published(2, day=2))

    assert second == {
        "survey_id": SURVEY,
        "key": "s",
        "title": "T2",
        "version": 2,
        "questions": [{"key": "recommend", "kind": "nps", "prompt": "?", "required": True, "choices": []}],
        "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert first["version"] == 1


def test_stale_and_repeated_publications_change_nothing() -> None:
    events = [published(1, day=1), published(2, day=2)]
    document = None
    for one in events:
        document = advance(document, one, fold_survey)

    again = document
    for one in [*events, *reversed(events)]:
        again = advance(again, one, fold_survey)

    assert again is document


def test_a_response_s_document_holds_its_answers_and_when_they_were_given(answered: PublicEvent) -> None:
    document = fold_response(None, answered)

    assert RESPONSES.document_id(answered) == RESPONSE
    assert document == {
        "survey_id": SURVEY,
        "survey_key": "s",
        "survey_version": 1,
        "customer_id": CUSTOMER,
        "channel": None,
        "answers": [{"question": "recommend", "kind": "nps", "number": 9, "choice": None, "text": None}],
        "answered_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


def test_unknown_fields_and_missing_optional_ones_change_nothing(answered: PublicEvent) -> None:
    lean = {name: value for name, value in answered.data.items() if name != "channel"}
    answers = [{"question": "recommend", "kind": "nps", "number": 9, "weight": "new in 1.1"}]

    document = fold_response(None, replace(answered, data={**lean, "answers": answers, "mood": "new in 1.1"}))

    assert document == fold_response(None, answered)


def test_a_payload_that_breaks_the_contract_is_refused_and_so_are_events_of_others(answered: PublicEvent) -> None:
    with pytest.raises(ValidationError):
        fold_response(None, replace(answered, data={**answered.data, "answers": "nine"}))
    with pytest.raises(ValueError, match=r"SurveyAnswered\.v1 of feedback"):
        fold_survey(None, answered)
    with pytest.raises(ValueError, match=r"SurveyPublished\.v1 of feedback"):
        fold_response(None, published(1, day=1))
