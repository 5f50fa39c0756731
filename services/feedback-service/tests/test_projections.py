"""The folds of surveys and responses: pure, and fed with public events."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_contracts.envelope import PublicEvent
from crm_shared.projections import advance
from feedback_service.projections import fold_response, fold_survey

SURVEY = "0d9c8b7a-6f5e-5d4c-8b3a-291807f6e5d4"
CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
QUESTIONS = [{"key": "recommend", "kind": "nps", "prompt": "?", "required": True, "choices": []}]


def event(name: str, key: str, sequence: int, data: dict[str, Any], day: int = 1) -> PublicEvent:
    moment = datetime(2026, 1, day, tzinfo=UTC)
    return PublicEvent(
        id=f"event-{sequence}",
        service="feedback",
        name=name,
        major=1,
        key=key,
        subject=key,
        occurred_at=moment,
        recorded_at=moment,
        sequence=sequence,
        stream_version=1,
        correlation_id="c",
        causation_id="c",
        actor="a",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        data=data,
    )


def published(version: int, *, sequence: int, day: int) -> PublicEvent:
    data = {"survey_id": SURVEY, "key": "s", "title": f"T{version}", "version": version, "questions": QUESTIONS}
    return event("SurveyPublished", SURVEY, sequence, data, day)


@pytest.fixture
def answered() -> PublicEvent:
    data = {
        "response_id": "8e7d6c5b-4a39-5281-8f70-6e5d4c3b2a19",
        "survey_id": SURVEY,
        "survey_key": "s",
        "survey_version": 1,
        "customer_id": CUSTOMER,
        "channel": None,
        "answers": [{"question": "recommend", "kind": "nps", "number": 9, "choice": None, "text": None}],
    }
    return event("SurveyAnswered", CUSTOMER, 2, data)


def test_a_survey_s_document_shows_its_latest_publication_and_remembers_the_first() -> None:
    first = fold_survey(None, published(1, sequence=1, day=1))

    second = fold_survey(first, published(2, sequence=2, day=2))

    assert second == {
        "survey_id": SURVEY,
        "key": "s",
        "title": "T2",
        "version": 2,
        "questions": QUESTIONS,
        "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert first["version"] == 1


def test_stale_and_repeated_publications_change_nothing() -> None:
    events = [published(1, sequence=1, day=1), published(2, sequence=2, day=2)]
    document = None
    for one in events:
        document = advance(document, one, fold_survey)

    again = document
    for one in [*events, *reversed(events)]:
        again = advance(again, one, fold_survey)

    assert again is document


def test_a_response_s_document_holds_its_answers_and_when_they_were_given(answered: PublicEvent) -> None:
    document = fold_response(None, answered)

    assert document == {
        "survey_id": SURVEY,
        "survey_key": "s",
        "survey_version": 1,
        "customer_id": CUSTOMER,
        "channel": None,
        "answers": [{"question": "recommend", "kind": "nps", "number": 9, "choice": None, "text": None}],
        "answered_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


def test_unknown_fields_and_a_missing_optional_one_change_nothing(answered: PublicEvent) -> None:
    data = {name: value for name, value in answered.data.items() if name != "channel"}

    document = fold_response(None, replace(answered, data={**data, "mood": "new in 1.1"}))

    assert document == fold_response(None, answered)


def test_events_of_unknown_names_leave_the_documents_as_they_are(answered: PublicEvent) -> None:
    survey, response = fold_survey(None, published(1, sequence=1, day=1)), fold_response(None, answered)
    unknown = replace(answered, name="SurveyClosed", sequence=9)

    assert fold_survey(survey, unknown) == survey
    assert fold_response(response, unknown) == response
