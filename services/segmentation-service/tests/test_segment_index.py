"""Which segments a change visits: every one that can differ, and few others."""

from typing import Any

import pytest

from segmentation_service.conditions import SegmentIndex, parse
from segmentation_service.facts import Facts


def leaf(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def bought(count: int | None) -> Facts:
    return {"interactions": {"purchases": {} if count is None else {"count": count}}}


def about(**contacts: Any) -> Facts:
    return {"contacts": contacts}


def index_of(*leaves: dict[str, Any]) -> SegmentIndex:
    return SegmentIndex({f"{one['op']} {one['value']}": parse(one) for one in leaves})


@pytest.mark.parametrize(
    ("op", "before", "after", "visited"),
    [
        ("gte", 4, 5, True),
        ("gte", 5, 6, False),
        ("gte", 5, 4, True),
        ("gt", 4, 5, False),
        ("gt", 5, 6, True),
        ("gt", 6, 5, True),
        ("lt", 4, 5, True),
        ("lt", 5, 6, False),
        ("lte", 4, 5, False),
        ("lte", 5, 6, True),
        ("eq", 4, 5, True),
        ("eq", 5, 4, True),
        ("eq", 4, 6, False),
        ("ne", 4, 6, False),
        ("ne", 6, 5, True),
        ("gte", 1, 4, False),
        ("gte", 6, 9, False),
        ("lt", 6, 9, False),
    ],
)
def test_a_change_visits_exactly_the_thresholds_that_it_passes(op: str, before: int, after: int, visited: bool) -> None:
    index = index_of(leaf("purchases.count", op, 5))

    assert bool(index.affected(bought(before), bought(after))) is visited


@pytest.mark.parametrize(
    ("op", "value", "visited"),
    [
        ("gte", 5, True),
        ("gt", 5, False),
        ("lt", 5, False),
        ("lte", 5, True),
        ("gt", 4, True),
        ("lt", 6, True),
        ("ne", 9, True),
        ("between", [5, 9], True),
        ("between", [1, 5], True),
        ("between", [6, 9], False),
        ("not_in", [9], True),
        ("in", [9], False),
        ("exists", True, True),
    ],
)
def test_a_value_that_appears_or_disappears_visits_what_it_meets(op: str, value: Any, visited: bool) -> None:
    index = index_of(leaf("profile.size", op, value))

    assert bool(index.affected(about(profile={}), about(profile={"size": 5}))) is visited
    assert bool(index.affected(about(profile={"size": 5}), about())) is visited


@pytest.mark.parametrize(
    ("before", "after", "visited"),
    [(2, 3, True), (3, 4, False), (4, 5, False), (5, 6, True), (6, 5, True), (3, 2, True), (6, 9, False)],
)
def test_a_range_is_visited_on_entering_and_leaving(before: int, after: int, visited: bool) -> None:
    index = index_of(leaf("purchases.count", "between", [3, 5]))

    assert bool(index.affected(bought(before), bought(after))) is visited


def test_texts_and_tags_are_visited_by_value() -> None:
    index = SegmentIndex(
        {
            "in Hue": parse(leaf("profile.address.city", "eq", "huế")),
            "in Hanoi": parse(leaf("profile.address.city", "in", ["Hà Nội"])),
            "in Da Nang": parse(leaf("profile.address.city", "eq", "Đà Nẵng")),
            "vip": parse(leaf("tags", "contains", "vip")),
            "not early": parse(leaf("tags", "not_in", ["early"])),
        }
    )
    before = about(profile={"address": {"city": "HUẾ"}}, tags=["late"])

    assert index.affected(before, about(profile={"address": {"city": "Hà nội"}}, tags=["late"])) == {
        "in Hue",
        "in Hanoi",
    }
    assert index.affected(before, about(profile={"address": {"city": "huế"}}, tags=["VIP", "late"])) == {"vip"}
    assert index.affected(about(tags=["vip", "early"]), about(tags=["late"])) == {"vip", "not early"}


@pytest.mark.parametrize("others", [0, 100])
def test_an_attribute_that_changes_its_type_visits_the_conditions_of_both(others: int) -> None:
    index = SegmentIndex(
        {
            **{f"other {n}": parse(leaf(f"attributes.other{n}", "exists", True)) for n in range(others)},
            "flag": parse(leaf("attributes.x", "eq", True)),
            "one": parse(leaf("attributes.x", "eq", 1)),
            "text": parse(leaf("attributes.x", "eq", "1")),
            "any": parse(leaf("attributes.x", "exists", True)),
        }
    )

    assert index.affected(about(attributes={"x": True}), about(attributes={"x": 1})) == {"flag", "one"}


def test_a_new_customer_visits_what_holds_for_nobody_and_what_the_first_facts_meet() -> None:
    index = SegmentIndex(
        {
            "no buyer": parse(leaf("purchases.count", "eq", 0)),
            "untagged": parse({"not": leaf("tags", "exists", True)}),
            "buyer": parse(leaf("purchases.count", "gte", 1)),
            "regular": parse(leaf("purchases.count", "gte", 10)),
        }
    )

    assert index.affected(None, bought(1)) == {"no buyer", "untagged", "buyer"}
    assert index.affected(None, {}) == {"no buyer", "untagged"}


def test_a_replaced_segment_is_visited_by_its_new_condition_only() -> None:
    index = SegmentIndex({"buyers": parse(leaf("purchases.count", "gte", 5))})

    index.add("buyers", parse(leaf("purchases.count", "gte", 9)))

    assert index.affected(bought(4), bought(5)) == set()
    assert index.affected(bought(8), bought(9)) == {"buyers"}


def test_a_removed_segment_is_forgotten_and_leaves_those_that_share_its_thresholds() -> None:
    twice = {"any": [leaf("purchases.count", "gte", 5), {"not": leaf("purchases.count", "gte", 5)}]}
    index = SegmentIndex({"a": parse(twice), "b": parse(leaf("purchases.count", "gte", 5))})

    index.remove("a")
    index.remove("never there")

    assert index.affected(bought(4), bought(5)) == {"b"}
    assert list(index.conditions) == ["b"]

    index.remove("b")

    assert index.affected(bought(4), bought(5)) == set()


def test_unchanged_facts_visit_nothing() -> None:
    index = SegmentIndex({"tagged": parse(leaf("tags", "exists", True))})
    facts = about(tags=["vip"])

    assert index.affected(facts, facts) == set()
    assert index.affected(facts, about(tags=["vip"])) == set()


def test_among_five_thousand_thresholds_a_step_visits_the_one_it_passes() -> None:
    index = SegmentIndex({f"from {n}": parse(leaf("purchases.count", "gte", n)) for n in range(5000)})

    assert index.affected(bought(2999), bought(3000)) == {"from 3000"}


def test_custom_attributes_that_no_condition_names_and_conditions_that_no_customer_meets_are_both_passed_over() -> None:
    many = SegmentIndex({f"attribute {n}": parse(leaf(f"attributes.a{n}", "gte", 1)) for n in range(1000)})
    one = SegmentIndex({"attribute 7": parse(leaf("attributes.a7", "gte", 1))})
    facts = about(attributes={f"a{n}": 1 for n in range(100)})

    assert many.affected(about(attributes={}), about(attributes={"a7": 1, "b": 2})) == {"attribute 7"}
    assert one.affected(about(), facts) == {"attribute 7"}
