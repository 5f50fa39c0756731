"""Exact sums of money."""

from decimal import Context, Decimal, Inexact, InvalidOperation

# 34 digits, as MongoDB's Decimal128 has, in which the timeline is summed; what would not fit exactly raises.
_EXACT = Context(prec=34, traps=[Inexact, InvalidOperation])


def exact_sum(amount: str, other: str) -> str:
    """The sum of two decimal numbers, as text without exponent.

    Raises `decimal.Inexact` when it has more than 34 digits.
    """
    return format(_EXACT.add(Decimal(amount), Decimal(other)), "f")
