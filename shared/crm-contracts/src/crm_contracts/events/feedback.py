"""Public events of feedback: surveys and the answers to them."""

from pydantic import Field

from crm_contracts.registry import EventData, public_event
from crm_contracts.types import EXAMPLE_CUSTOMER, PII, CustomerId, Uuid, Value


class Question(Value):
    """One question of a survey."""

    key: str = Field(description="Unique within the survey")
    kind: str = Field(description="Open enumeration; known: nps, csat, ces, rating, choice, text")
    prompt: str = Field(description="What is asked")
    required: bool = Field(description="Whether an answer must be given")
    choices: list[str] = Field(default_factory=list, description="Of a choice question")


class QuestionAnswer(Value):
    """The answer to one question: a number for scores, a choice, or text."""

    question: str = Field(description="The key of the question")
    kind: str = Field(description="Open enumeration; known: nps, csat, ces, rating, choice, text")
    number: int | None = Field(None, description="The answer to nps, csat, ces and rating")
    choice: str | None = Field(None, description="The answer to choice")
    text: str | None = Field(None, description="The answer to text", json_schema_extra=PII)


@public_event("feedback", "1.0")
class SurveyPublished(EventData):
    """A survey was published, or published anew with a higher version. Keyed by the survey's own id."""

    survey_id: Uuid
    key: str = Field(description="The survey's readable key")
    title: str = Field(description="For people")
    version: int = Field(description="Rises by one with every publication")
    questions: list[Question] = Field(description="In the order of asking")


@public_event("feedback", "1.0")
class SurveyAnswered(EventData):
    """A customer answered a survey."""

    response_id: Uuid
    survey_id: Uuid
    survey_key: str = Field(description="The survey's readable key")
    survey_version: int = Field(description="The version that was answered")
    customer_id: CustomerId
    channel: str | None = Field(None, description="How the answer came in; open enumeration")
    answers: list[QuestionAnswer] = Field(description="One per answered question")


_SURVEY = "0d9c8b7a-6f5e-5d4c-8b3a-291807f6e5d4"

EXAMPLES: tuple[EventData, ...] = (
    SurveyPublished(
        survey_id=_SURVEY,
        key="after-purchase",
        title="Sau khi mua hàng",
        version=1,
        questions=[
            Question(
                key="recommend", kind="nps", prompt="Bạn có giới thiệu chúng tôi cho bạn bè không?", required=True
            ),
            Question(key="where", kind="choice", prompt="Bạn mua ở đâu?", required=False, choices=["Hà Nội", "Huế"]),
            Question(key="why", kind="text", prompt="Vì sao?", required=False),
        ],
    ),
    SurveyAnswered(
        response_id="8e7d6c5b-4a39-5281-8f70-6e5d4c3b2a19",
        survey_id=_SURVEY,
        survey_key="after-purchase",
        survey_version=1,
        customer_id=EXAMPLE_CUSTOMER,
        channel="email",
        answers=[
            QuestionAnswer(question="recommend", kind="nps", number=9),
            QuestionAnswer(question="where", kind="choice", choice="Hà Nội"),
            QuestionAnswer(question="why", kind="text", text="Nhân viên rất thân thiện."),
        ],
    ),
)
