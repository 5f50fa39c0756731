"""Sums of money: exact to the last digit, or refused."""

import decimal
from decimal import Decimal

import pytest

from crm_shared.money import DECIMAL128, exact_sum, exact_text_sum


def test_a_sum_keeps_every_digit_and_the_places_of_its_parts() -> None:
    assert exact_sum(Decimal("9" * 60), Decimal("0.1")) == Decimal("9" * 60 + ".1")
    assert exact_text_sum("25.00", "-4.5") == "20.50"
    assert exact_text_sum("999999999999999999.999999", "0.000001") == "1000000000000000000.000000"


def test_a_sum_is_written_without_an_exponent() -> None:
    assert exact_text_sum("0.0000001", "0.0000001") == "0.0000002"


@pytest.mark.parametrize(("amount", "within"), [("9" * 34, {"within": DECIMAL128}), ("9" * 100, {})])
def test_a_sum_that_there_is_no_room_for_is_refused(amount: str, within: dict[str, decimal.Context]) -> None:
    with pytest.raises(decimal.Inexact):
        exact_text_sum(amount, "0.1", **within)
