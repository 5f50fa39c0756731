"""Facts: what segments know of one customer. What conditions ask of, and how times are written in it.

A facts document is plain JSON (and BSON): a section per source service, so that the order in which two sources'
events arrive cannot change the result. Keys at the top that are not sections are kept as they are. Times are text of
one fixed width in UTC (`1997-01-01T00:00:00.000000Z`), which therefore sort as text. Money is decimal text. What is
null in an event is absent here.
"""

from datetime import UTC, datetime
from typing import Any, TypedDict

Facts = dict[str, Any]
"""A facts document as conditions walk through it, by the names in the shapes below."""


class OfContacts(TypedDict, total=False):
    """Who the customer is. `profile` and `preferences` are those of the public events, without nulls."""

    identified: bool
    profile: dict[str, Any]
    tags: list[str]
    attributes: dict[str, Any]
    preferences: dict[str, Any]


class ByChannel(TypedDict):
    """The interactions on one channel."""

    count: int
    last_at: str


class Logged(TypedDict):
    """Interactions."""

    count: int
    first_at: str
    last_at: str
    by_channel: dict[str, ByChannel]


class ByCurrency(TypedDict):
    """The purchases in one currency; `revenue` is exact, `average` rounded to four decimals."""

    count: int
    revenue: str
    average: str


class Purchases(TypedDict):
    """Purchases."""

    count: int
    first_at: str
    last_at: str
    by_currency: dict[str, ByCurrency]


class OfInteractions(TypedDict, total=False):
    """What the customer said and bought."""

    logged: Logged
    purchases: Purchases


class GivenAnswer(TypedDict):
    """The latest answer to a question; `sequence` is the log position of its event."""

    value: int | str
    at: str
    sequence: int


class OfFeedback(TypedDict, total=False):
    """What the customer answered: per survey and question the latest answer, and the latest to any nps question."""

    count: int
    last_at: str
    nps: GivenAnswer
    answers: dict[str, dict[str, GivenAnswer]]


class FactsDocument(TypedDict):
    """What is known of one customer, by its source."""

    contacts: OfContacts
    interactions: OfInteractions
    feedback: OfFeedback


def stored_time(moment: datetime) -> str:
    """A time with a zone as text of fixed width in UTC; raises OverflowError outside years 1 to 9999."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
