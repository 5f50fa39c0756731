"""What feedback says in public: each stored event as a public one."""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_contracts.events import feedback as public
from crm_shared.publishing import Publication
from feedback_service.domain import Response, Survey
from feedback_service.scores import SCALES


def publish(event: Any) -> Publication | None:
    """The public event for a stored event; None for private events (idempotency keys)."""
    match event:
        case Survey.Created():
            return _published(event, 1)
        case Survey.Revised():
            return _published(event, event.version)
        case Response.Created():
            return Publication(
                event.customer_id,
                public.SurveyAnswered(
                    response_id=str(event.originator_id),
                    survey_id=event.survey_id,
                    survey_key=event.survey_key,
                    survey_version=event.survey_version,
                    customer_id=event.customer_id,
                    channel=event.channel,
                    answers=_answers(event.answers),
                ),
            )
        case _:
            return None


def _published(event: Survey.Created | Survey.Revised, version: int) -> Publication:
    survey_id = str(event.originator_id)
    return Publication(
        survey_id,
        public.SurveyPublished(
            survey_id=survey_id,
            key=event.key,
            title=event.title,
            version=version,
            questions=[public.Question(**question) for question in event.questions],
        ),
    )


def _answers(answers: Sequence[Mapping[str, Any]]) -> list[public.QuestionAnswer]:
    return [
        public.QuestionAnswer(
            question=answer["question"],
            kind=answer["kind"],
            **{"number" if answer["kind"] in SCALES else answer["kind"]: answer["value"]},
        )
        for answer in answers
    ]
