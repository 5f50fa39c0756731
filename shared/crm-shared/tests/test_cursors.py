"""Cursors of lists by time: what was written is read again, and nothing else is."""

from datetime import UTC, datetime

import pytest

from crm_shared.domain import InvalidInput
from crm_shared.queries import read_cursor, read_place, write_cursor, write_place

LIST = ("timeline", "lan")
NOON = datetime(2026, 1, 14, 12, 0, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize("moment", [NOON, datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC)])
def test_a_place_leads_back_to_its_moment_and_sort_keys(moment: datetime) -> None:
    assert read_place(write_place(moment, 7, "contacts", of=LIST), int, str, of=LIST) == (moment, 7, "contacts")


@pytest.mark.parametrize("values", [(), (0,), ("a", "a"), (0, 1), (10**18, "a"), (-(10**18), "a"), (True, "a")])
def test_a_cursor_that_is_no_place_in_the_list_is_refused(values: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_place(write_cursor(*values, of=LIST), str, of=LIST)

    assert [(one.field, one.code) for one in refused.value.errors] == [("?cursor", "malformed_cursor")]


def test_a_sort_key_that_no_store_can_compare_with_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read_place(write_cursor(0, 2**63, of=LIST), int, of=LIST)


def test_a_cursor_of_another_list_or_of_other_filters_is_refused_as_foreign() -> None:
    cursor = write_cursor("lan", of=("members", "big", None))

    assert read_cursor(cursor, str, of=("members", "big", None)) == ["lan"]
    for other in [
        (),
        ("members", "big"),
        ("members", "small", None),
        ("segments", "big", None),
        ("members", "big", ""),
    ]:
        with pytest.raises(InvalidInput) as refused:
            read_cursor(cursor, str, of=other)
        assert [(one.field, one.code) for one in refused.value.errors] == [("?cursor", "foreign_cursor")]


@pytest.mark.parametrize("cursor", ["", "x", "bm8", "W10", "WzFd", "eyJhIjogMX0", "é", "W251bGxd"])
def test_what_nobody_gave_out_is_refused_as_malformed(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_cursor(cursor, str, of=LIST)

    assert [(one.field, one.code) for one in refused.value.errors] == [("?cursor", "malformed_cursor")]
