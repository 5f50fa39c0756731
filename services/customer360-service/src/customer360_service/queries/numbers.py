"""Quotients in answers: made of exact sums and rounded once; money is text."""

from collections.abc import Mapping
from decimal import Context, Decimal

# Room for the exact sums of all customers, and for quotients before they are rounded.
_CONTEXT = Context(prec=100)
_CENT = Decimal("0.01")
_RATE = Decimal("0.0001")


def average(total: Decimal, count: int) -> str | None:
    """The total divided by `count`, to two places, halves to the even digit; None when `count` is zero."""
    return format(_CONTEXT.divide(total, count).quantize(_CENT, context=_CONTEXT), "f") if count else None


def averages(totals: Mapping[str, Decimal], counts: Mapping[str, int]) -> dict[str, str]:
    """The average per currency; a currency without count is left out."""
    amounts = {currency: average(total, counts.get(currency, 0)) for currency, total in sorted(totals.items())}
    return {currency: amount for currency, amount in amounts.items() if amount is not None}


def rate(part: int, whole: int) -> str | None:
    """The share of `part` in `whole`, to four places, from "0.0000" to "1.0000"; None when `whole` is zero."""
    return format((Decimal(part) / whole).quantize(_RATE), "f") if whole else None


def nps_score(promoters: int, passives: int, detractors: int) -> float | None:
    """Percentage of promoters less percentage of detractors, to one place; None without answers."""
    count = promoters + passives + detractors
    return float(round(Decimal(100 * (promoters - detractors)) / count, 1)) if count else None
