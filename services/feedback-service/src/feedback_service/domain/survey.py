"""The survey: its questions, and the rules that answers are checked against."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self
from uuid import UUID

from crm_shared.domain import Aggregate, FieldError, InvalidInput, derived_id
from feedback_service.scores import SCALES

FEWEST_CHOICES, MOST_CHOICES = 2, 50
LONGEST_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a survey. `kind` is one of `SCALES`, or choice, or text; only choice has `choices`."""

    key: str
    kind: str
    prompt: str
    required: bool = False
    choices: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The question as events hold it."""
        return {**asdict(self), "choices": list(self.choices)}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Self:
        """The question that an event holds."""
        return cls(held["key"], held["kind"], held["prompt"], held["required"], tuple(held["choices"]))

    def check(self, value: Any) -> FieldError | None:
        """What is wrong with an answer to this question, if anything."""
        if self.kind in SCALES:
            return self._check_scale(value)
        if type(value) is not str:
            return _wrong(self.key, "not_text", f"{self.key} is answered with text")
        if self.kind == "choice" and value not in self.choices:
            return _wrong(self.key, "not_a_choice", f"{self.key} offers {', '.join(self.choices)}")
        if self.kind == "text" and not 1 <= len(value) <= LONGEST_TEXT:
            return _wrong(self.key, "text_length", f"{self.key} takes 1 to {LONGEST_TEXT} characters")
        return None

    def _check_scale(self, value: Any) -> FieldError | None:
        least, greatest = SCALES[self.kind]
        # A boolean is an integer to Python, not to somebody who answers a survey.
        if type(value) is not int:
            return _wrong(self.key, "not_an_integer", f"{self.key} is answered with an integer")
        if not least <= value <= greatest:
            return _wrong(self.key, "out_of_scale", f"{self.key} is answered from {least} to {greatest}")
        return None


def check_questions(questions: Sequence[Question]) -> None:
    """Raise `InvalidInput` naming every question whose key, or whose choices, break a rule."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, question in enumerate(questions):
        place = f"/questions/{index}"
        if question.key in seen:
            errors.append(FieldError(f"{place}/key", "duplicate_question", f"{question.key} comes twice"))
        seen.add(question.key)
        if question.kind != "choice":
            if question.choices:
                message = f"a question of kind {question.kind} has no choices"
                errors.append(FieldError(f"{place}/choices", "choices_not_allowed", message))
        elif not FEWEST_CHOICES <= len(question.choices) <= MOST_CHOICES:
            message = f"give {FEWEST_CHOICES} to {MOST_CHOICES} choices"
            errors.append(FieldError(f"{place}/choices", "choices_count", message))
        elif len(set(question.choices)) < len(question.choices):
            errors.append(FieldError(f"{place}/choices", "duplicate_choice", "the choices differ from each other"))
    _raise(errors)


class Survey(Aggregate):
    """A survey. Its version rises by one with every publication that changes it."""

    TOPIC = "feedback.Survey"

    class Event(Aggregate.Event):
        """Base of its events."""

        def apply(self, aggregate: "Survey") -> None:
            """Change the survey by this event."""

    class Created(Event, Aggregate.Created):
        """The survey was published for the first time, as version 1."""

        TOPIC = "feedback.SurveyPublished.v1"
        key: str
        title: str
        questions: list[dict[str, Any]]

    class Revised(Event):
        """The survey was published again with another title or other questions."""

        TOPIC = "feedback.SurveyRevised.v1"
        key: str
        version: int
        title: str
        questions: list[dict[str, Any]]

        def apply(self, aggregate: "Survey") -> None:
            aggregate.published_version = self.version
            aggregate.title = self.title
            aggregate.questions = [Question.from_dict(question) for question in self.questions]

    def __init__(self, key: str, title: str, questions: list[dict[str, Any]]) -> None:
        self.key = key
        self.title = title
        self.published_version = 1
        """How often it was published with a change; `version` is the library's, of the stream."""
        self.questions = [Question.from_dict(question) for question in questions]

    @staticmethod
    def id_of(key: str) -> UUID:
        """The id of the survey with this key."""
        return derived_id("survey", key)

    @classmethod
    def publish(cls, key: str, title: str, questions: Sequence[Question]) -> Self:
        """A new survey. Raises `InvalidInput` when its questions break a rule."""
        check_questions(questions)
        return cls._create(
            cls.Created,
            id=cls.id_of(key),
            key=key,
            title=title,
            questions=[question.as_dict() for question in questions],
        )

    def revise(self, title: str, questions: Sequence[Question]) -> bool:
        """Publish it with this content; whether that changed anything. Raises `InvalidInput` like `publish`."""
        check_questions(questions)
        if title == self.title and list(questions) == self.questions:
            return False
        self.trigger_event(
            self.Revised,
            key=self.key,
            version=self.published_version + 1,
            title=title,
            questions=[question.as_dict() for question in questions],
        )
        return True

    def check(self, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The answers in the survey's order, each with the kind of its question.

        Raises `InvalidInput` naming every answer that its question does not take, that has no question, or that
        is required and missing.
        """
        questions = {question.key: question for question in self.questions}
        errors = [
            _wrong(key, "unknown_question", f"the survey has no question {key}")
            for key in answers.keys() - questions.keys()
        ]
        for question in self.questions:
            if question.key in answers:
                error = question.check(answers[question.key])
                if error is not None:
                    errors.append(error)
            elif question.required:
                errors.append(_wrong(question.key, "required_answer_missing", f"{question.key} must be answered"))
        if not errors and not answers:
            errors.append(FieldError("/answers", "no_answers", "answer at least one question"))
        _raise(sorted(errors, key=lambda field_error: field_error.field))
        return [
            {"question": key, "kind": question.kind, "value": answers[key]}
            for key, question in questions.items()
            if key in answers
        ]


def _wrong(question: str, code: str, message: str) -> FieldError:
    return FieldError(f"/answers/{question.replace('~', '~0').replace('/', '~1')}", code, message)


def _raise(errors: Sequence[FieldError]) -> None:
    if errors:
        raise InvalidInput("; ".join(error.message for error in errors[:3]), errors=errors)
