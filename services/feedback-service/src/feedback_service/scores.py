"""The scales that questions are answered on, and the formulas that turn answers into scores, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

SCALES: Mapping[str, tuple[int, int]] = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "rating": (1, 5)}
"""The kinds of question that are answered with an integer: its least and its greatest value."""
Counts = Mapping[int, int]
"""How often each value of a scale was given."""


@dataclass(frozen=True, slots=True)
class Nps:
    """The Net Promoter Score of a question, from -100 to 100 and rounded to one place; None without answers."""

    score: float | None
    promoters: int
    passives: int
    detractors: int


@dataclass(frozen=True, slots=True)
class Csat:
    """The customer satisfaction of a question, in percent and rounded to one place; None without answers."""

    score: float | None
    satisfied: int
    count: int


def nps(counts: Counts) -> Nps:
    """Percentage of promoters (9 and 10) minus percentage of detractors (0 to 6); passives are 7 and 8.

    Source: F. F. Reichheld, "The One Number You Need to Grow", Harvard Business Review 81 (12), 2003, 46-54.
    """
    promoters = _between(counts, 9, 10)
    passives = _between(counts, 7, 8)
    detractors = _between(counts, 0, 6)
    total = promoters + passives + detractors
    return Nps(_ratio(100 * (promoters - detractors), total, "0.1"), promoters, passives, detractors)


def csat(counts: Counts) -> Csat:
    """Percentage of answers 4 and 5 on the scale of 1 to 5, the "top two box" score.

    Source: N. A. Morgan and L. L. Rego, "The Value of Different Customer Satisfaction and Loyalty Metrics in
    Predicting Business Performance", Marketing Science 25 (5), 2006, 426-439.
    """
    satisfied = _between(counts, 4, 5)
    total = _between(counts, 1, 5)
    return Csat(_ratio(100 * satisfied, total, "0.1"), satisfied, total)


def mean(counts: Counts) -> float | None:
    """The arithmetic mean, rounded to two places; None without answers.

    It is what the customer effort score (1 to 7, 7 the easiest) is reported as. Source: M. Dixon, N. Toman and
    R. DeLisi, "The Effortless Experience", Portfolio/Penguin, 2013 (the score's second version).
    """
    return _ratio(sum(value * count for value, count in counts.items()), sum(counts.values()), "0.01")


def _between(counts: Counts, least: int, greatest: int) -> int:
    return sum(count for value, count in counts.items() if least <= value <= greatest)


def _ratio(part: int, whole: int, places: str) -> float | None:
    """`part / whole`, rounded half to even."""
    if whole == 0:
        return None
    rounded = (Decimal(part) / Decimal(whole)).quantize(Decimal(places), ROUND_HALF_EVEN)
    # Zero has no sign here, although a decimal rounded up to it keeps one.
    return float(rounded) + 0.0
