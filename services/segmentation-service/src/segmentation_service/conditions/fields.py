"""The fields that a condition can name: their types, their operators, and where each lies in the facts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from segmentation_service.facts import Facts

FieldType = Literal["number", "money", "datetime", "date", "string", "boolean", "set", "scalar"]

_ORDERED = ("eq", "ne", "gt", "gte", "lt", "lte", "between")
_LISTED = ("in", "not_in")
_TEXTUAL = ("contains", "starts_with")
_EXISTS = ("exists",)
OPERATORS: Mapping[FieldType, tuple[str, ...]] = {
    "number": _ORDERED + _LISTED + _EXISTS,
    "money": _ORDERED + _LISTED + _EXISTS,
    "datetime": ("before", "after", *_ORDERED, *_EXISTS),
    "date": ("before", "after", *_ORDERED, *_EXISTS),
    "string": ("eq", "ne", *_LISTED, *_TEXTUAL, *_EXISTS),
    "boolean": ("eq", "ne", *_EXISTS),
    "set": ("contains", *_LISTED, *_EXISTS),
    "scalar": _ORDERED + _LISTED + _TEXTUAL + _EXISTS,
}
ALL_OPERATORS = frozenset(operator for operators in OPERATORS.values() for operator in operators)

# What may stand in place of a <placeholder>: the names that the owning services accept.
_WORD = r"[a-z][a-z0-9_]{0,63}"
_PLACEHOLDERS = {
    "name": _WORD,
    "channel": _WORD,
    "currency": r"[A-Z]{3}",
    "survey_key": r"[a-z][a-z0-9_-]{0,63}",
    "question_key": _WORD,
}


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One line of the catalogue; `field` holds `<placeholders>` where a name is the customer's own data."""

    field: str
    type: FieldType
    operators: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field as a condition names it: `path` leads to its value in the facts, `default` stands in for none."""

    name: str
    type: FieldType
    operators: tuple[str, ...]
    path: tuple[str, ...]
    default: int | bool | None = None

    def read(self, facts: Facts) -> Any:
        """The stored value: text, number, boolean or list; None when the customer has none."""
        value: Any = facts
        for key in self.path:
            if not isinstance(value, dict):
                return self.default
            value = value.get(key)
        return self.default if value is None else value


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    type: FieldType
    path: tuple[str, ...]
    description: str
    default: int | bool | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        # Asking whether something exists that every customer has would silently match everybody.
        operators = OPERATORS[self.type]
        return operators if self.default is None else tuple(op for op in operators if op != "exists")

    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"<(\w+)>", self.name)
        return re.compile(
            "".join(f"(?P<{p}>{_PLACEHOLDERS[p]})" if i % 2 else re.escape(p) for i, p in enumerate(parts))
        )

    def named(self, name: str, parts: Mapping[str, str]) -> Field:
        path = tuple(parts[key[1:-1]] if key.startswith("<") else key for key in self.path)
        return Field(name, self.type, self.operators, path, self.default)


def _profile(name: str, kind: FieldType, description: str) -> _Entry:
    return _Entry(f"profile.{name}", kind, ("contacts", "profile", *name.split(".")), description)


_ENTRIES = (
    _Entry("identified", "boolean", ("contacts", "identified"), "Whether contacts has announced the customer", False),
    _profile("kind", "string", "person or organisation"),
    _profile("name", "string", "Name"),
    _profile("birth_date", "date", "Date of birth, of persons"),
    _profile("gender", "string", "Gender, as recorded"),
    _profile("language", "string", "Language, a BCP 47 tag"),
    _profile("income", "money", "Yearly income, a decimal number as text"),
    _profile("address.city", "string", "City"),
    _profile("address.region", "string", "Region, state or province"),
    _profile("address.postal_code", "string", "Postal code"),
    _profile("address.country", "string", "Country, an ISO 3166-1 alpha-2 code"),
    _profile("industry", "string", "Industry, of organisations"),
    _profile("size", "number", "Number of employees, of organisations"),
    _profile("lifecycle_stage", "string", "For example prospect, customer, former"),
    _Entry("tags", "set", ("contacts", "tags"), "Tags; exists tells whether there is any"),
    _Entry(
        "attributes.<name>",
        "scalar",
        ("contacts", "attributes", "<name>"),
        "A custom attribute: number, string or boolean; a value of another type than the condition's does not match",
    ),
    _Entry(
        "preferences.channels.<channel>",
        "boolean",
        ("contacts", "preferences", "channels", "<channel>"),
        "Whether the customer welcomes messages by this channel; no value until they said so",
    ),
    _Entry("interactions.count", "number", ("interactions", "logged", "count"), "Interactions, on any channel", 0),
    _Entry("interactions.first_at", "datetime", ("interactions", "logged", "first_at"), "When the first one happened"),
    _Entry("interactions.last_at", "datetime", ("interactions", "logged", "last_at"), "When the last one happened"),
    _Entry(
        "interactions.by_channel.<channel>.count",
        "number",
        ("interactions", "logged", "by_channel", "<channel>", "count"),
        "Interactions on one channel, for example email",
        0,
    ),
    _Entry(
        "interactions.by_channel.<channel>.last_at",
        "datetime",
        ("interactions", "logged", "by_channel", "<channel>", "last_at"),
        "When the last interaction on one channel happened",
    ),
    _Entry("purchases.count", "number", ("interactions", "purchases", "count"), "Purchases, in any currency", 0),
    _Entry(
        "purchases.revenue.<currency>",
        "money",
        ("interactions", "purchases", "by_currency", "<currency>", "revenue"),
        "Sum of all purchases in one currency (ISO 4217 code); no value without a purchase in it",
    ),
    _Entry(
        "purchases.average.<currency>",
        "money",
        ("interactions", "purchases", "by_currency", "<currency>", "average"),
        "Average purchase in one currency, rounded to four decimals; no value without a purchase in it",
    ),
    _Entry("purchases.first_at", "datetime", ("interactions", "purchases", "first_at"), "When the first one happened"),
    _Entry("purchases.last_at", "datetime", ("interactions", "purchases", "last_at"), "When the last one happened"),
    _Entry("feedback.count", "number", ("feedback", "count"), "Answered surveys", 0),
    _Entry("feedback.last_at", "datetime", ("feedback", "last_at"), "When a survey was last answered"),
    _Entry("feedback.nps", "number", ("feedback", "nps", "value"), "The last answer to any NPS question, 0 to 10"),
    _Entry(
        "feedback.<survey_key>.<question_key>",
        "scalar",
        ("feedback", "answers", "<survey_key>", "<question_key>", "value"),
        "The last answer to one question: a number for scores, text for choices and free text",
    ),
)
_STATIC = {entry.name: entry for entry in _ENTRIES if "<" not in entry.name}
_DYNAMIC = tuple((entry, entry.pattern()) for entry in _ENTRIES if "<" in entry.name)


def catalogue() -> tuple[FieldDescription, ...]:
    """Every field that a condition can name, with its type and operators."""
    return tuple(FieldDescription(e.name, e.type, e.operators, e.description) for e in _ENTRIES)


def resolve(name: str) -> Field | None:
    """The field of this name, or None when there is none such."""
    if entry := _STATIC.get(name):
        return entry.named(name, {})
    for entry, pattern in _DYNAMIC:
        if match := pattern.fullmatch(name):
            return entry.named(name, match.groupdict())
    return None
