"""The response: what one customer answered to one survey, recorded once."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid4

from crm_shared.domain import Aggregate, Conflict, derived_id
from feedback_service.domain.survey import Survey


@dataclass(frozen=True, slots=True)
class ResponseFacts:
    """What is reported about one response: `answers` by the keys of their questions.

    `given_id` is the sender's own id of it, unique within the survey; `answered_at` is when, if not now.
    """

    customer_id: str
    answers: Mapping[str, Any]
    channel: str | None = None
    answered_at: datetime | None = None
    given_id: str | None = None

    def in_one_spelling(self) -> "ResponseFacts":
        """The facts with their texts in Unicode's NFC: one Vietnamese word is one choice however it was typed."""
        spelled = {
            key: unicodedata.normalize("NFC", value) if type(value) is str else value
            for key, value in self.answers.items()
        }
        return replace(self, answers=spelled)


@dataclass(eq=False)
class Response(Aggregate):
    """What one customer answered to one survey, once and for all."""

    TOPIC = "feedback.Response"

    class Event(Aggregate.Event):
        """Base of its events."""

    class Created(Event, Aggregate.Created):
        """The survey was answered. `given_id` and `answered_at` are the caller's, if it gave any."""

        TOPIC = "feedback.SurveyAnswered.v1"
        survey_id: str
        survey_key: str
        survey_version: int
        customer_id: str
        channel: str | None
        answers: list[dict[str, Any]]
        given_id: str | None
        answered_at: datetime | None

    survey_id: str
    survey_key: str
    survey_version: int
    customer_id: str
    channel: str | None
    answers: list[dict[str, Any]]
    given_id: str | None
    answered_at: datetime | None

    @staticmethod
    def id_of(survey_key: str, given_id: str) -> UUID:
        """The id of the response that the caller knows by `given_id`."""
        return derived_id("response", survey_key, given_id)

    @classmethod
    def give(cls, survey: Survey, facts: ResponseFacts) -> Self:
        """A new response to the survey as it stands. Raises `InvalidInput` for answers that it does not take."""
        return cls._create(
            cls.Created,
            id=uuid4() if facts.given_id is None else cls.id_of(survey.key, facts.given_id),
            survey_id=str(survey.id),
            survey_key=survey.key,
            survey_version=survey.published_version,
            customer_id=facts.customer_id,
            channel=facts.channel,
            answers=survey.check(facts.answers),
            given_id=facts.given_id,
            answered_at=facts.answered_at,
        )

    def expect(self, facts: ResponseFacts) -> None:
        """Raise `Conflict` unless these are the facts that were recorded."""
        same = (
            facts.customer_id == self.customer_id
            and facts.channel == self.channel
            and facts.answered_at == self.answered_at
            # 1 and True are equal in Python and different as answers.
            and {key: (type(value), value) for key, value in facts.answers.items()}
            == {answer["question"]: (type(answer["value"]), answer["value"]) for answer in self.answers}
        )
        if not same:
            raise Conflict(
                f"response {self.given_id} to survey {self.survey_key} is recorded with other content",
                code="response_conflict",
                response_id=str(self.id),
            )
