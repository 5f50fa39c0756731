"""What feedback says in public, event by event."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from crm_contracts.envelope import decode, encode
from crm_contracts.events import feedback as public
from crm_shared.application.idempotency import IdempotencyRecord
from crm_shared.domain import Aggregate, CommandContext, command_context
from crm_shared.http.requests import BODY_LIMIT
from feedback_service.domain import Question, Response, ResponseFacts, Survey
from feedback_service.publishing import publish

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
QUESTIONS = [
    Question("recommend", "nps", "?", required=True),
    Question("where", "choice", "?", choices=("Hà Nội", "Huế")),
    Question("why", "text", "?"),
]


@pytest.fixture
def survey() -> Survey:
    return Survey.publish("s", "Khảo sát", QUESTIONS)


def give(survey: Survey, answers: dict[str, Any], **rest: Any) -> Response:
    return Response.give(survey, ResponseFacts(CUSTOMER, answers, **rest))


def only_event(aggregate: Aggregate) -> Any:
    (event,) = aggregate.collect_events()
    return event


def test_each_publication_of_a_survey_is_announced_under_the_survey_s_own_id(survey: Survey) -> None:
    survey.revise("Khảo sát 2", QUESTIONS[:1])

    said = [publish(event) for event in survey.collect_events()]

    assert [one.key for one in said if one] == [str(survey.id)] * 2
    assert [one.data for one in said if one] == [
        public.SurveyPublished(
            survey_id=str(survey.id),
            key="s",
            title=title,
            version=version,
            questions=[
                public.Question(
                    key=one.key, kind=one.kind, prompt="?", required=one.required, choices=list(one.choices)
                )
                for one in questions
            ],
        )
        for version, title, questions in [(1, "Khảo sát", QUESTIONS), (2, "Khảo sát 2", QUESTIONS[:1])]
    ]


def test_a_response_is_announced_under_its_customer_with_each_answer_in_its_place(survey: Survey) -> None:
    event = only_event(give(survey, {"recommend": 0, "where": "Huế", "why": "Vì vậy"}, channel="email"))

    said = publish(event)

    assert said is not None
    assert said.key == CUSTOMER
    assert said.data == public.SurveyAnswered(
        response_id=str(event.originator_id),
        survey_id=str(survey.id),
        survey_key="s",
        survey_version=1,
        customer_id=CUSTOMER,
        channel="email",
        answers=[
            public.QuestionAnswer(question="recommend", kind="nps", number=0),
            public.QuestionAnswer(question="where", kind="choice", choice="Huế"),
            public.QuestionAnswer(question="why", kind="text", text="Vì vậy"),
        ],
    )


def test_the_caller_s_own_response_id_stays_private(survey: Survey) -> None:
    event = only_event(give(survey, {"recommend": 0}, given_id="someone@example.com"))

    said = publish(event)

    assert said is not None
    assert "someone@example.com" not in said.data.model_dump_json()


def test_idempotency_keys_stay_private() -> None:
    record = IdempotencyRecord._create(
        IdempotencyRecord.Created, fingerprint="f", result={}, answered_with=[], id=Survey.id_of("x")
    )

    assert [publish(event) for event in record.collect_events()] == [None]


def test_the_largest_response_that_the_interface_takes_fits_into_a_record() -> None:
    # A request as large as it may be, of what grows most when it is rendered.
    keys = [f"q{number:02}{'x' * 61}" for number in range(50)]
    answers = dict.fromkeys(keys, "\x01" * 124)
    assert BODY_LIMIT - 1024 < len(orjson.dumps({"customer_id": CUSTOMER, "answers": answers})) <= BODY_LIMIT
    survey = Survey.publish("s" * 64, "T", [Question(key, "text", "?") for key in keys])
    with command_context(CommandContext(correlation_id="c" * 200, causation_id="d" * 200, actor="a" * 200)):
        event = only_event(give(survey, answers, channel="c" * 64))
    said = publish(event)
    assert said is not None

    record = encode(event, 2**63 - 1, said.key, said.data)

    assert record.value is not None
    assert len(record.value) > BODY_LIMIT


def test_when_it_was_answered_is_the_public_event_s_time(survey: Survey) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with command_context(CommandContext(), moment):
        event = only_event(give(survey, {"recommend": 0}, answered_at=moment))
    said = publish(event)
    assert said is not None

    record = encode(event, 7, said.key, said.data)
    read = decode(record.key, record.value, record.headers)

    assert (read.occurred_at, read.name, read.sequence, read.subject) == (moment, "SurveyAnswered", 7, CUSTOMER)
    assert read.recorded_at > moment
