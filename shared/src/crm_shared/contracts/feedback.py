"""Public events of feedback: surveys and the answers to them."""

from pydantic import Field

from crm_shared.contracts.registry import EventData, public_event
from crm_shared.contracts.types import PII, CustomerId, Uuid, Value


class Question(Value):
    """One question of a survey."""

    key: str
    kind: str = Field(description="Open enumeration; known: nps, csat, ces, rating, choice, text")
    prompt: str
    required: bool
    choices: list[str] = Field(default_factory=list)


class QuestionAnswer(Value):
    """The answer to one question: a number for scores, a choice, or text."""

    question: str
    kind: str
    number: int | None = None
    choice: str | None = None
    text: str | None = Field(None, json_schema_extra=PII)


@public_event("feedback", "1.0")
class SurveyPublished(EventData):
    """A survey was published, or published anew with a higher version. Keyed by the survey's own id."""

    survey_id: Uuid
    key: str
    title: str
    version: int
    questions: list[Question]


@public_event("feedback", "1.0")
class SurveyAnswered(EventData):
    """A customer answered a survey."""

    response_id: Uuid
    survey_id: Uuid
    survey_key: str
    survey_version: int
    customer_id: CustomerId
    channel: str | None = None
    answers: list[QuestionAnswer]
