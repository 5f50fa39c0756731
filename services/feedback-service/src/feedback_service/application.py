"""What people and systems do with surveys: one method per use case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_shared.application import Unit
from crm_shared.domain import NotFound
from crm_shared.postgres import EventSourcedApplication
from feedback_service.domain import Question, Response, Survey, one_spelling


@dataclass(frozen=True, slots=True)
class PublishedSurvey:
    """The survey as it stands after a publication, and whether it is new."""

    survey_id: str
    version: int
    created: bool


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """The response as it is recorded, and whether it is new."""

    response_id: str
    created: bool


class Feedback(EventSourcedApplication):
    """The event store of feedback and its use cases. Each runs on the writer's thread."""

    name = "feedback"

    def publish_survey(self, unit: Unit, key: str, *, title: str, questions: Sequence[Question]) -> PublishedSurvey:
        """Publish a survey, or publish it anew; the same content again stores nothing.

        Raises `InvalidInput` when its questions break a rule.
        """
        survey = unit.find(Survey, Survey.id_of(key))
        created = survey is None
        if survey is None:
            survey = Survey.publish(key, title, questions)
        else:
            survey.revise(title, questions)
        unit.save(survey)
        return PublishedSurvey(str(survey.id), survey.published_version, created)

    def answer_survey(
        self,
        unit: Unit,
        key: str,
        *,
        customer_id: str,
        answers: Mapping[str, Any],
        channel: str | None = None,
        answered_at: datetime | None = None,
        given_id: str | None = None,
    ) -> RecordedResponse:
        """Record what a customer, known elsewhere or not, answered; `given_id` makes a repetition harmless.

        Raises `NotFound` for a survey that was never published, `InvalidInput` for answers that it does not take,
        and `Conflict` (response_conflict) when `given_id` came before with other content.
        """
        answers = one_spelling(answers)
        if given_id is not None:
            # Looked at before the survey, so that a repetition answers with the first position and is not checked
            # against a survey that has changed since.
            recorded = unit.find(Response, Response.id_of(key, given_id))
            if recorded is not None:
                recorded.require_same(
                    customer_id=customer_id, answers=answers, channel=channel, answered_at=answered_at
                )
                return RecordedResponse(str(recorded.id), created=False)
        survey = unit.find(Survey, Survey.id_of(key))
        if survey is None:
            raise NotFound(f"there is no survey {key}")
        response = Response.give(
            survey,
            customer_id=customer_id,
            answers=answers,
            channel=channel,
            answered_at=answered_at,
            given_id=given_id,
        )
        unit.save(response)
        return RecordedResponse(str(response.id), created=True)
