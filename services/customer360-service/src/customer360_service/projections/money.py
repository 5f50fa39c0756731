"""Exact sums of money."""

from decimal import Decimal

from bson.decimal128 import create_decimal128_context

# 34 digits, as in MongoDB, where sums over the timeline are made; what would not fit exactly raises.
_EXACT = create_decimal128_context()


def exact_sum(amount: str, other: str) -> str:
    """The sum of two decimal numbers, as text without exponent.

    Raises `decimal.Inexact` when it has more than 34 digits.
    """
    return format(_EXACT.add(Decimal(amount), Decimal(other)), "f")
