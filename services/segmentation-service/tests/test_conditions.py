"""What conditions mean, how they explain themselves, and what is said of those that mean nothing."""

from typing import Any

import pytest

from segmentation_service.conditions import (
    ConditionError,
    catalogue,
    deciding_leaves,
    evaluate,
    explain,
    parse,
    to_json,
)

LAN: dict[str, Any] = {
    "contacts": {
        "identified": True,
        "profile": {
            "kind": "person",
            "name": "Nguyễn Thị Lan",
            "birth_date": "1990-05-17",
            "income": "1200.50",
            "address": {"city": "Đà Nẵng", "country": "VN"},
        },
        "tags": ["Sỉ", "early", "vip"],
        "attributes": {"tier": "gold", "points": 40, "member": True, "ratio": 0.5},
        "preferences": {"channels": {"email": True, "sms": False}},
    },
    "interactions": {
        "logged": {
            "count": 3,
            "first_at": "1997-01-01T00:00:00.000000Z",
            "last_at": "1997-06-30T12:00:00.500000Z",
            "by_channel": {"email": {"count": 2, "last_at": "1997-06-30T12:00:00.500000Z"}},
        },
        "purchases": {
            "count": 2,
            "first_at": "1997-01-01T00:00:00.000000Z",
            "last_at": "1997-06-01T00:00:00.000000Z",
            "by_currency": {"USD": {"count": 2, "revenue": "250.00", "average": "125"}},
        },
    },
    "feedback": {
        "count": 1,
        "last_at": "1997-03-01T00:00:00.000000Z",
        "nps": {"value": 9, "at": "1997-03-01T00:00:00.000000Z", "sequence": 4},
        "answers": {"welcome": {"colour": {"value": "Red", "at": "1997-03-01T00:00:00.000000Z", "sequence": 4}}},
    },
}


def leaf(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def holds(field: str, op: str, value: Any, facts: dict[str, Any] = LAN) -> bool:
    return evaluate(parse(leaf(field, op, value)), facts)


def errors(source: object) -> list[tuple[str, str]]:
    with pytest.raises(ConditionError) as raised:
        parse(source)
    assert all(error.message for error in raised.value.errors)
    return [(error.field, error.code) for error in raised.value.errors]


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("purchases.count", "eq", 2),
        ("purchases.count", "eq", 2.0),
        ("purchases.count", "ne", 3),
        ("purchases.count", "gt", 1.5),
        ("purchases.count", "gte", 2),
        ("purchases.count", "lt", 3),
        ("purchases.count", "lte", 2),
        ("purchases.count", "between", [2, 2]),
        ("purchases.count", "in", [1, 2]),
        ("purchases.count", "not_in", [1, 3]),
        ("purchases.revenue.USD", "gte", "250"),
        ("purchases.revenue.USD", "eq", "250.000"),
        ("purchases.revenue.USD", "between", ["249.99", "250.01"]),
        ("purchases.average.USD", "lt", 126),
        ("profile.income", "gt", "1200.49"),
        ("purchases.last_at", "before", "1997-06-01T00:00:00.001Z"),
        ("purchases.last_at", "eq", "1997-06-01T07:00:00+07:00"),
        ("purchases.first_at", "after", "1996-12-31T23:59:59.999999999z"),
        ("interactions.last_at", "after", "1997-06-30T12:00:00Z"),
        ("interactions.last_at", "lt", "1997-06-30T12:00:01Z"),
        ("interactions.first_at", "between", ["1997-01-01T00:00:00Z", "1998-01-01T00:00:00Z"]),
        ("interactions.by_channel.email.count", "eq", 2),
        ("interactions.by_channel.email.last_at", "exists", True),
        ("profile.birth_date", "before", "1990-05-18"),
        ("profile.birth_date", "gte", "1990-05-17"),
        ("profile.name", "eq", "NGUYỄN THỊ LAN"),
        ("profile.name", "eq", "nguye\u0302\u0303n thi\u0323 lan"),
        ("profile.name", "contains", "thị"),
        ("profile.name", "starts_with", "nguyễn"),
        ("profile.address.city", "in", ["Huế", "đà nẵng"]),
        ("profile.address.country", "not_in", ["US", "FR"]),
        ("profile.kind", "ne", "organisation"),
        ("identified", "eq", True),
        ("tags", "contains", "VIP"),
        ("tags", "contains", "sỉ"),
        ("tags", "in", ["none", "early"]),
        ("tags", "not_in", ["none", "late"]),
        ("tags", "exists", True),
        ("attributes.tier", "eq", "GOLD"),
        ("attributes.tier", "starts_with", "go"),
        ("attributes.points", "gt", 39),
        ("attributes.points", "in", [40, 41]),
        ("attributes.ratio", "between", [0, 1]),
        ("attributes.member", "eq", True),
        ("attributes.tier", "exists", True),
        ("preferences.channels.sms", "eq", False),
        ("preferences.channels.mail", "exists", False),
        ("feedback.nps", "gte", 9),
        ("feedback.welcome.colour", "eq", "red"),
        ("feedback.count", "eq", 1),
    ],
)
def test_a_comparison_holds_for_the_value_that_meets_it(field: str, op: str, value: Any) -> None:
    assert holds(field, op, value)


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("purchases.count", "eq", 3),
        ("purchases.count", "gt", 2),
        ("purchases.count", "lt", 2),
        ("purchases.revenue.USD", "gt", "250.00"),
        ("purchases.last_at", "before", "1997-06-01T00:00:00Z"),
        ("purchases.last_at", "after", "1997-06-01T00:00:00Z"),
        ("profile.name", "starts_with", "lan"),
        ("profile.name", "contains", "thí"),
        ("profile.name", "exists", False),
        ("tags", "contains", "vi"),
        ("tags", "not_in", ["vip"]),
        ("preferences.channels.sms", "eq", True),
        # a value of another type than the condition's
        ("attributes.member", "eq", 1),
        ("attributes.points", "eq", "40"),
        ("attributes.points", "ne", "40"),
        ("attributes.tier", "gt", 0),
        ("attributes.points", "contains", "4"),
    ],
)
def test_a_comparison_does_not_hold_otherwise(field: str, op: str, value: Any) -> None:
    assert not holds(field, op, value)


@pytest.mark.parametrize(
    ("op", "value", "name", "expected"),
    [
        ("contains", "thi", "Nguyễn Thị Lan", True),
        ("contains", "NGUYEN", "Nguyễn Thị Lan", True),
        ("contains", "thị", "Nguyễn Thị Lan", True),
        ("contains", "thị", "Nguyen Thi Lan", False),
        ("contains", "nguyên", "Nguyễn Thị Lan", False),
        # One letter with its mark asks for every mark of the text.
        ("contains", "nguyễn thi", "Nguyễn Thị Lan", False),
        ("contains", "duc", "Đặng Đức", True),
        ("contains", "đuc", "Dang Duc", False),
        ("contains", "lodz", "Łódź", True),
        ("contains", "민", "김민수", True),
        # A syllable is not a letter with marks: 기 is not in 김.
        ("contains", "기", "김민수", False),
        ("starts_with", "nguyen", "Nguye\u0302\u0303n", True),
        ("starts_with", "nguyễn", "Nguyen", False),
        ("starts_with", "guyen", "Nguyễn", False),
        ("starts_with", "dang", "ĐẶNG", True),
    ],
)
def test_a_part_of_a_text_without_diacritics_is_found_whatever_diacritics_the_text_has(
    op: str, value: str, name: str, expected: bool
) -> None:
    assert holds("profile.name", op, value, {"contacts": {"profile": {"name": name}}}) is expected


@pytest.mark.parametrize("op", ["eq", "in"])
def test_whole_texts_are_compared_with_their_diacritics(op: str) -> None:
    value = "nguyen" if op == "eq" else ["nguyen"]

    assert not holds("profile.name", op, value, {"contacts": {"profile": {"name": "Nguyễn"}}})


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("purchases.revenue.EUR", "lt", "100"),
        ("purchases.revenue.EUR", "ne", "100"),
        ("purchases.last_at", "before", "2026-01-01T00:00:00Z"),
        ("profile.gender", "ne", "male"),
        ("profile.gender", "not_in", ["male"]),
        ("attributes.colour", "ne", "red"),
        ("preferences.channels.mail", "ne", True),
        ("feedback.nps", "lte", 6),
        ("feedback.welcome.size", "eq", "L"),
    ],
)
def test_a_comparison_with_a_missing_value_is_false_and_its_negation_true(field: str, op: str, value: Any) -> None:
    facts = {**LAN, "feedback": {}, "interactions": {}}

    assert not holds(field, op, value, facts)
    assert evaluate(parse({"not": leaf(field, op, value)}), facts)
    assert holds(field, "exists", False, facts)


def test_counts_are_zero_and_sets_empty_for_a_customer_of_whom_nothing_is_known() -> None:
    assert holds("purchases.count", "eq", 0, {})
    assert holds("interactions.by_channel.email.count", "lt", 1, {})
    assert holds("identified", "eq", False, {})
    assert holds("tags", "not_in", ["vip"], {})
    assert holds("tags", "exists", False, {})


@pytest.mark.parametrize(
    ("parts", "all_of", "any_of"),
    [([True, True], True, True), ([True, False], False, True), ([False, False], False, False)],
)
def test_groups_combine_their_parts(parts: list[bool], all_of: bool, any_of: bool) -> None:
    sources = [leaf("purchases.count", "eq", 2 if part else 9) for part in parts]

    assert evaluate(parse({"all": sources}), LAN) is all_of
    assert evaluate(parse({"any": sources}), LAN) is any_of
    assert evaluate(parse({"not": {"all": sources}}), LAN) is not all_of


def test_an_explanation_tells_threshold_actual_value_and_result_of_each_leaf() -> None:
    condition = parse(
        {
            "all": [
                leaf("purchases.count", "gte", 5),
                {"not": leaf("purchases.last_at", "after", "1997-06-01T07:00:00+07:00")},
                {"any": [leaf("tags", "contains", "vip"), leaf("purchases.revenue.EUR", "gt", "1")]},
            ]
        }
    )

    assert explain(condition, LAN) == {
        "all": [
            {"field": "purchases.count", "op": "gte", "value": 5, "actual": 2, "result": False},
            {
                "not": {
                    "field": "purchases.last_at",
                    "op": "after",
                    "value": "1997-06-01T00:00:00Z",
                    "actual": "1997-06-01T00:00:00Z",
                    "result": False,
                },
                "result": True,
            },
            {
                "any": [
                    {
                        "field": "tags",
                        "op": "contains",
                        "value": "vip",
                        "actual": ["Sỉ", "early", "vip"],
                        "result": True,
                    },
                    {"field": "purchases.revenue.EUR", "op": "gt", "value": "1", "actual": None, "result": False},
                ],
                "result": True,
            },
        ],
        "result": False,
    }


def test_the_deciding_leaves_are_those_that_allow_no_other_result() -> None:
    yes, no = leaf("purchases.count", "eq", 2), leaf("purchases.count", "eq", 9)

    def deciding(source: dict[str, Any]) -> list[Any]:
        return [one["value"] for one in deciding_leaves(explain(parse(source), LAN))]

    assert deciding(yes) == [2]
    assert deciding({"all": [yes, no, yes]}) == [9]
    assert deciding({"all": [yes, yes]}) == [2, 2]
    assert deciding({"any": [no, yes]}) == [2]
    assert deciding({"any": [no, no]}) == [9, 9]
    assert deciding({"not": {"all": [yes, no]}}) == [9]


def test_deciding_leaves_stay_small_whatever_the_customer_wrote() -> None:
    facts = {"contacts": {"profile": {"name": "ă" * 9000}, "tags": [f"tag{i}" for i in range(99)]}}
    source = {"all": [leaf("profile.name", "exists", True), leaf("tags", "exists", True)] * 50}

    deciding = deciding_leaves(explain(parse(source), facts))

    assert len(deciding) == 20
    assert len(deciding[0]["actual"]) == 201
    assert len(deciding[1]["actual"]) == 10


def test_a_condition_is_written_back_with_times_in_utc_and_parses_to_an_equal_one() -> None:
    source = {
        "any": [
            {"not": leaf("purchases.last_at", "before", "1998-01-01t07:00:00.250+07:00")},
            leaf("purchases.revenue.VND", "gte", 1000000),
            leaf("profile.kind", "in", ["person", "organisation"]),
        ]
    }

    condition = parse(source)

    assert to_json(condition) == {
        "any": [
            {"not": leaf("purchases.last_at", "before", "1998-01-01T00:00:00.250000Z")},
            leaf("purchases.revenue.VND", "gte", "1000000"),
            leaf("profile.kind", "in", ["person", "organisation"]),
        ]
    }
    assert parse(to_json(condition)) == condition


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, [("/condition", "wrong_type")]),
        ([], [("/condition", "wrong_type")]),
        ({}, [("/condition/field", "missing"), ("/condition/op", "missing"), ("/condition/value", "missing")]),
        ({"all": []}, [("/condition/all", "empty")]),
        ({"any": []}, [("/condition/any", "empty")]),
        ({"any": {}}, [("/condition/any", "wrong_type")]),
        ({"not": []}, [("/condition/not", "wrong_type")]),
        ({"not": None}, [("/condition/not", "wrong_type")]),
        ({"all": [1]}, [("/condition/all/0", "wrong_type")]),
        ({"all": [leaf("identified", "eq", True)], "any": []}, [("/condition", "ambiguous")]),
        ({"not": leaf("identified", "eq", True), "op": "eq"}, [("/condition", "ambiguous")]),
        ({"not": leaf("identified", "eq", True), "name": 1}, [("/condition", "unknown_member")]),
        ({**leaf("identified", "eq", True), "unit": "USD"}, [("/condition", "unknown_member")]),
    ],
)
def test_a_tree_of_another_shape_is_rejected_at_its_place(source: object, expected: list[tuple[str, str]]) -> None:
    assert errors(source) == expected


@pytest.mark.parametrize(
    "name",
    [
        "purchase.count",
        "purchases",
        "purchases.revenue",
        "purchases.revenue.usd",
        "purchases.revenue.USDX",
        "interactions.by_channel.count",
        "interactions.by_channel.e.mail.count",
        "attributes.",
        "attributes.a\n",
        "attributes.a.b",
        "attributes.Tier",
        "attributes.\ud800",
        "attributes." + "a" * 65,
        "profile.shoe_size",
        "feedback.welcome",
        "feedback.a.b.c",
        "",
        "x" * 10_000,
    ],
)
def test_an_unknown_field_is_named(name: str) -> None:
    assert errors(leaf(name, "eq", 1)) == [("/condition/field", "unknown_field")]


@pytest.mark.parametrize(
    ("field", "op", "value", "pointer", "code"),
    [
        ("purchases.count", "equals", 1, "op", "unknown_operator"),
        ("purchases.count", ["eq"], 1, "op", "wrong_type"),
        (7, "eq", 1, "field", "wrong_type"),
        ("purchases.count", "before", 1, "op", "operator_not_allowed"),
        ("purchases.count", "exists", True, "op", "operator_not_allowed"),
        ("profile.name", "gt", "a", "op", "operator_not_allowed"),
        ("tags", "eq", "vip", "op", "operator_not_allowed"),
        ("purchases.count", "eq", "1", "value", "wrong_type"),
        ("purchases.count", "eq", True, "value", "wrong_type"),
        ("purchases.count", "eq", None, "value", "wrong_type"),
        ("purchases.count", "eq", float("nan"), "value", "wrong_type"),
        ("purchases.count", "eq", float("inf"), "value", "wrong_type"),
        ("purchases.count", "eq", 10**400, "value", "wrong_type"),
        ("purchases.count", "between", [1], "value", "wrong_type"),
        ("purchases.count", "between", [1, "2"], "value/1", "wrong_type"),
        ("purchases.count", "between", [2, 1], "value", "invalid_range"),
        ("purchases.count", "in", 1, "value", "wrong_type"),
        ("purchases.count", "in", [], "value", "empty"),
        ("purchases.count", "in", [1, 2, "3"], "value/2", "wrong_type"),
        ("purchases.count", "in", list(range(201)), "value", "too_many_values"),
        ("purchases.revenue.USD", "gt", 29.33, "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", True, "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", "1e3", "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", "NaN", "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", "١٢", "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", "1" * 31, "value", "wrong_type"),
        ("purchases.revenue.USD", "gt", {"amount": "1", "currency": "USD"}, "value", "wrong_type"),
        ("purchases.last_at", "before", "1997-06-01", "value", "wrong_type"),
        ("purchases.last_at", "before", "1997-06-01T00:00:00", "value", "wrong_type"),
        ("purchases.last_at", "before", "1997-02-30T00:00:00Z", "value", "wrong_type"),
        ("purchases.last_at", "before", "1997-06-01T00:00:00+25:00", "value", "wrong_type"),
        ("purchases.last_at", "before", "0001-01-01T00:00:00+14:00", "value", "wrong_type"),
        ("purchases.last_at", "after", {"within": "90 days"}, "value", "wrong_type"),
        ("purchases.last_at", "after", 865123200, "value", "wrong_type"),
        ("profile.birth_date", "before", "19900517", "value", "wrong_type"),
        ("profile.birth_date", "before", "1990-13-01", "value", "wrong_type"),
        ("profile.birth_date", "before", "1990-05-17T00:00:00Z", "value", "wrong_type"),
        ("profile.name", "eq", 5, "value", "wrong_type"),
        ("profile.name", "eq", "\ud800", "value", "wrong_type"),
        ("profile.name", "eq", "a" * 501, "value", "wrong_type"),
        ("profile.name", "contains", "", "value", "empty"),
        ("profile.name", "exists", "yes", "value", "wrong_type"),
        ("profile.name", "exists", 1, "value", "wrong_type"),
        ("identified", "eq", 1, "value", "wrong_type"),
        ("tags", "contains", ["vip"], "value", "wrong_type"),
        ("attributes.tier", "eq", None, "value", "wrong_type"),
        ("attributes.tier", "gt", "gold", "value", "wrong_type"),
        ("attributes.tier", "contains", 5, "value", "wrong_type"),
        ("attributes.tier", "in", ["gold", 5], "value/1", "wrong_type"),
        ("attributes.tier", "in", [{}], "value/0", "wrong_type"),
        ("attributes.tier", "between", ["a", "b"], "value/0", "wrong_type"),
    ],
)
def test_a_leaf_that_makes_no_sense_is_rejected_at_its_place(
    field: Any, op: Any, value: Any, pointer: str, code: str
) -> None:
    assert errors(leaf(field, op, value))[0] == (f"/condition/{pointer}", code)


def test_everything_wrong_is_told_at_once_by_its_json_pointer() -> None:
    source = {
        "all": [
            leaf("purchases.count", "gte", 1),
            leaf("purchases.count", "gte", "one"),
            {"any": [leaf("purchases.cuont", "gte", 1), {"not": leaf("tags", "starts_with", "v")}]},
        ]
    }

    with pytest.raises(ConditionError) as raised:
        parse(source)

    assert [(error.field, error.code) for error in raised.value.errors] == [
        ("/condition/all/1/value", "wrong_type"),
        ("/condition/all/2/any/0/field", "unknown_field"),
        ("/condition/all/2/any/1/not/op", "operator_not_allowed"),
    ]
    assert "did you mean purchases.count?" in raised.value.errors[1].message
    assert "contains, in, not_in" in raised.value.errors[2].message


def test_depth_is_bounded_even_far_beyond_what_python_recurses() -> None:
    deep: dict[str, Any] = leaf("identified", "eq", True)
    for _ in range(9):
        deep = {"not": deep}
    assert evaluate(parse(deep), LAN) is False
    for _ in range(100_000):
        deep = {"not": deep}

    assert errors(deep) == [("/condition" + "/not" * 10, "too_deep")]


def test_the_number_of_leaves_is_bounded() -> None:
    one = leaf("identified", "eq", True)
    parse({"all": [one] * 100})

    assert errors({"all": [one] * 101}) == [("/condition", "too_many_leaves")]


def test_too_many_leaves_are_counted_wherever_they_are_and_whatever_is_wrong_with_them() -> None:
    wrong = leaf("no.such.field", "eq", 1)
    source = {"any": [{"all": [wrong] * 600}, {"not": {"any": [wrong] * 399}}, 7]}

    with pytest.raises(ConditionError) as raised:
        parse(source)

    [error] = raised.value.errors
    assert (error.field, error.code) == ("/condition", "too_many_leaves")
    assert "1000 comparisons; at most 100" in error.message


def test_a_flood_of_errors_stays_bounded() -> None:
    assert len(errors({"all": [{"any": []}] * 10_000})) <= 101
    assert len(errors({"all": [leaf("purchases.count", "in", ["a"] * 200)] * 10_000})) <= 101


def test_the_size_of_a_condition_is_bounded() -> None:
    source = {"all": [leaf("profile.name", "in", ["ă" * 500] * 10)] * 2}

    assert errors(source) == [("/condition", "too_large")]


def test_a_condition_inside_another_document_is_named_from_there() -> None:
    with pytest.raises(ConditionError) as raised:
        parse({"all": []}, at="/rules/0")

    assert raised.value.errors[0].field == "/rules/0/all"
    assert raised.value.code == "validation_failed"


def test_the_catalogue_names_every_field_with_its_type_and_operators() -> None:
    by_name = {one.field: one for one in catalogue()}

    assert by_name["purchases.revenue.<currency>"].type == "money"
    assert by_name["tags"].operators == ("contains", "in", "not_in", "exists")
    assert "exists" not in by_name["purchases.count"].operators
    assert all(one.description for one in by_name.values())
    assert {one.type for one in by_name.values()} == {
        *("number", "money", "datetime", "date", "string", "boolean", "set", "scalar")
    }


def test_every_field_and_operator_of_the_catalogue_can_be_used() -> None:
    stand_ins = {"<currency>": "USD", "<channel>": "email", "<name>": "tier"}
    stand_ins |= {"<survey_key>": "welcome", "<question_key>": "colour"}
    thresholds: dict[str, Any] = {"number": 1, "money": "1", "datetime": "1997-01-01T00:00:00Z", "date": "1997-01-01"}
    thresholds |= {"string": "a", "boolean": True, "set": "a", "scalar": "a"}
    for one in catalogue():
        name = one.field
        for placeholder, stand_in in stand_ins.items():
            name = name.replace(placeholder, stand_in)
        for op in one.operators:
            value = thresholds[one.type]
            if one.type == "scalar" and op in ("gt", "gte", "lt", "lte", "between"):
                value = 1
            if op == "exists":
                value = True
            if op == "between":
                value = [value, value]
            if op in ("in", "not_in"):
                value = [value]
            source = leaf(name, op, value)
            assert to_json(parse(source)) == source
