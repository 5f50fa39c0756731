"""The commands of feedback-service: what each reads, decides and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from crm_shared.application import Command, Unit
from crm_shared.domain import NotFound
from feedback_service.domain import Question, Response, ResponseFacts, Survey


@dataclass(frozen=True, slots=True)
class SurveyPublished:
    """The survey as it is published now; `created` tells whether it is new."""

    survey_id: str
    key: str
    version: int
    created: bool


@dataclass(frozen=True, slots=True)
class PublishSurvey(Command[SurveyPublished]):
    """Publish a survey, or publish it anew with the next version; the same content again stores nothing.

    Raises `InvalidInput` when its questions break a rule.
    """

    key: str
    title: str
    questions: Sequence[Question]

    @property
    def reads(self) -> Sequence[UUID]:
        return (Survey.id_of(self.key),)

    def decide(self, unit: Unit) -> SurveyPublished:
        published = unit.find(Survey, Survey.id_of(self.key))
        if published is None:
            survey = Survey.publish(self.key, self.title, self.questions)
        else:
            survey = published
            survey.revise(self.title, self.questions)
        unit.save(survey)
        return SurveyPublished(str(survey.id), self.key, survey.published_version, created=published is None)


@dataclass(frozen=True, slots=True)
class SurveyAnswered:
    """The response is on record; `created` tells whether it is new."""

    response_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class AnswerSurvey(Command[SurveyAnswered]):
    """Record what a customer, known elsewhere or not, answered; the sender's id makes a repetition harmless.

    Raises `NotFound` for a survey that was never published, `InvalidInput` for answers that it does not take, and
    `Conflict` (response_conflict) when the sender's id came before with other content.
    """

    survey_key: str
    facts: ResponseFacts

    @property
    def reads(self) -> Sequence[UUID]:
        survey = Survey.id_of(self.survey_key)
        return (survey,) if self._given is None else (survey, self._given)

    @property
    def occurred_at(self) -> datetime | None:
        return self.facts.answered_at

    def decide(self, unit: Unit) -> SurveyAnswered:
        facts = self.facts.in_one_spelling()
        # Looked at before the survey, so that a repetition answers with the first position and is not checked against
        # a survey that has changed since.
        recorded = None if self._given is None else unit.find(Response, self._given)
        if recorded is not None:
            recorded.expect(facts)
            return SurveyAnswered(str(recorded.id), created=False)
        survey = unit.find(Survey, Survey.id_of(self.survey_key))
        if survey is None:
            raise NotFound(f"there is no survey {self.survey_key}")
        response = Response.give(survey, facts)
        unit.save(response)
        return SurveyAnswered(str(response.id), created=True)

    @property
    def _given(self) -> UUID | None:
        """The id of the response that the sender knows by an id of its own."""
        given_id = self.facts.given_id
        return None if given_id is None else Response.id_of(self.survey_key, given_id)
