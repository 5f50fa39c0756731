"""Amounts of money: added up with every digit, or not at all."""

from decimal import Context, Decimal, Inexact, InvalidOperation

EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])
"""More digits than money has; a result that they cannot hold raises `decimal.Inexact`, NaN `InvalidOperation`."""
DECIMAL128 = Context(prec=34, traps=[Inexact, InvalidOperation])
"""The same with as many digits as MongoDB's Decimal128 holds: for what the store adds up, too."""


def exact_sum(amount: Decimal, other: Decimal, within: Context = EXACT) -> Decimal:
    """The sum with every digit; raises `decimal.Inexact` when it has more than there is room for."""
    return within.add(amount, other)


def exact_text_sum(amount: str, other: str, within: Context = EXACT) -> str:
    """The same of amounts as documents and events hold them: as text, without exponent."""
    return format(within.add(Decimal(amount), Decimal(other)), "f")
