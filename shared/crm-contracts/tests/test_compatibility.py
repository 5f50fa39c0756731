"""Which changes of a schema keep old and new readers working, and a second opinion by generated data."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from crm_contracts.catalogue import all_event_types
from crm_contracts.registry import PublicEventType
from crm_contracts.tooling.compatibility import breaking_changes, incompatibilities, violations
from crm_contracts.tooling.schemas import schema_of

Schema = dict[str, Any]
Change = Callable[[Schema, Schema], object]

MONEY: Schema = {
    "type": "object",
    "properties": {"amount": {"type": "string", "pattern": "^[0-9]+$"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
}
BASE: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "/schemas/contacts/Something/1.0.json",
    "x-topic": "crm.contacts.events.v1",
    "title": "Something",
    "description": "Something happened.",
    "type": "object",
    "properties": {
        "customer_id": {"type": "string", "format": "uuid"},
        "name": {"type": ["string", "null"], "x-pii": True},
        "note": {"type": ["string", "null"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "share": {"type": "number"},
        "code": {"type": "string", "minLength": 1, "maxLength": 5},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "price": MONEY,
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "lines": {"type": "array", "items": deepcopy(MONEY)},
        "channels": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "parts": {"type": "object", "additionalProperties": deepcopy(MONEY)},
    },
    "required": ["customer_id", "count", "share", "code", "kind", "price", "tags", "lines", "channels", "parts"],
}
TEXT: Schema = {"type": "string"}

ALL_HEALTHY = list(HealthCheck)
SAMPLE = settings(max_examples=20, deadline=None, suppress_health_check=ALL_HEALTHY, database=None, derandomize=True)
SEARCH = settings(SAMPLE, max_examples=300, phases=[Phase.generate])


def changed(change: Change) -> Schema:
    """The base after a change: a function of the whole schema and of its fields."""
    schema = deepcopy(BASE)
    change(schema, schema["properties"])
    return schema


def both(*changes: Change) -> Change:
    return lambda schema, fields: [change(schema, fields) for change in changes]


ALLOWED: dict[str, Change] = {
    "nothing": lambda s, f: None,
    "a new optional field": lambda s, f: f.update(size={"type": ["integer", "null"]}),
    "a new optional field that cannot be null": lambda s, f: f.update(labels={"type": "array", "items": TEXT}),
    "a new optional personal field": lambda s, f: f.update(alias={"type": ["string", "null"], "x-pii": True}),
    "a new optional object": lambda s, f: f.update(tax={**MONEY, "type": ["object", "null"]}),
    "a new optional field of a nested object": lambda s, f: f["price"]["properties"].update(rate=TEXT),
    "a new optional field of a list's items": lambda s, f: f["lines"]["items"]["properties"].update(rate=TEXT),
    "a new optional field of a map's values": lambda s, f: f["parts"]["additionalProperties"]["properties"].update(
        rate=TEXT
    ),
    "another description": lambda s, f: s.update(description="It did happen."),
    "a newly known value, documented": lambda s, f: f["note"].update(description="Known: x, y, z"),
    "an example": lambda s, f: f["note"].update(examples=["x"]),
    "another order of fields": lambda s, f: s.update(properties=dict(reversed(f.items()))),
    "another order of types": lambda s, f: f["note"].update(type=["null", "string"]),
    "another order of required fields": lambda s, f: s["required"].reverse(),
    "a nullable optional field that becomes personal": lambda s, f: f["note"].update({"x-pii": True}),
}

# What changes -> (the change, a part of the message, does data exist that a validator of the other version refuses?)
BREAKING: dict[str, tuple[Change, str, bool]] = {
    "a required field removed": (
        both(lambda s, f: f.pop("count"), lambda s, f: s["required"].remove("count")),
        "/count: was removed; old readers still use it",
        True,
    ),
    "an optional field removed": (lambda s, f: f.pop("note"), "/note: was removed", False),
    "a field renamed": (
        both(lambda s, f: f.update(remark=f.pop("note"))),
        "/note: was removed",
        False,
    ),
    "a new required field": (
        both(lambda s, f: f.update(size={"type": "integer"}), lambda s, f: s["required"].append("size")),
        "/size: is new and required; old events lack it",
        True,
    ),
    "an optional field becomes required": (
        lambda s, f: s["required"].append("note"),
        "/note: became required; old events may lack it",
        True,
    ),
    "a required field becomes optional": (
        lambda s, f: s["required"].remove("count"),
        "/count: is no longer required; old readers rely on it",
        True,
    ),
    "a type replaced": (lambda s, f: f.update(note={"type": ["boolean", "null"]}), "/note: type string|null", True),
    "a type widened by null": (
        lambda s, f: f["code"].update(type=["string", "null"]),
        "/code: type string became string|null; an old reader does not expect null",
        True,
    ),
    "a type narrowed by null": (
        lambda s, f: f["note"].update(type="string"),
        "/note: type string|null became string; a new reader does not expect null, which old events hold",
        True,
    ),
    "a type widened by another": (
        lambda s, f: f["note"].update(type=["string", "integer", "null"]),
        "an old reader does not expect integer",
        True,
    ),
    "an integer becomes a number": (
        lambda s, f: f["count"].update(type="number"),
        "/count: type integer became number; an old reader does not expect number",
        True,
    ),
    "a number becomes an integer": (
        lambda s, f: f["share"].update(type="integer"),
        "a new reader does not expect number, which old events hold",
        True,
    ),
    "a single value becomes a list": (
        lambda s, f: f.update(code={"type": "array", "items": TEXT}),
        "/code: type string became array",
        True,
    ),
    "a type dropped": (lambda s, f: f["share"].pop("type"), "/share: type number became anything", True),
    "a format added": (lambda s, f: f["code"].update(format="uuid"), "/code: `format` changed from None", True),
    "a format dropped": (lambda s, f: f["customer_id"].pop("format"), "/customer_id: `format` changed", True),
    "a pattern tightened": (
        lambda s, f: f["price"]["properties"]["amount"].update(pattern="^[1-9]$"),
        "/price/amount: `pattern` changed from '^[0-9]+$' to '^[1-9]$'",
        True,
    ),
    "a pattern loosened": (lambda s, f: f["price"]["properties"]["amount"].pop("pattern"), "`pattern` changed", True),
    "a lower bound raised": (lambda s, f: f["count"].update(minimum=1), "/count: `minimum` changed from 0 to 1", True),
    "an upper bound raised": (lambda s, f: f["count"].update(maximum=10), "`maximum` changed from 9 to 10", True),
    "an upper bound added": (lambda s, f: f["share"].update(maximum=1), "`maximum` changed from None to 1", True),
    "a longest length lowered": (lambda s, f: f["code"].update(maxLength=4), "`maxLength` changed from 5 to 4", True),
    "a shortest length dropped": (lambda s, f: f["code"].pop("minLength"), "`minLength` changed from 1 to None", True),
    "a list allowed to be longer": (lambda s, f: f["tags"].update(maxItems=4), "`maxItems` changed from 3 to 4", True),
    "a list that may not be empty": (lambda s, f: f["tags"].update(minItems=1), "`minItems` changed from None", True),
    "a value added to a closed enumeration": (
        lambda s, f: f["kind"].update(enum=["a", "b", "c"]),
        "/kind: `enum` changed",
        True,
    ),
    "a value removed from a closed enumeration": (
        lambda s, f: f["kind"].update(enum=["a"]),
        "/kind: `enum` changed",
        True,
    ),
    "an enumeration closed": (lambda s, f: f["code"].update(enum=["x"]), "/code: `enum` changed from None", True),
    "an enumeration opened": (lambda s, f: f["kind"].pop("enum"), "/kind: `enum` changed", True),
    "a constant": (lambda s, f: f["code"].update(const="x"), "/code: `const` changed from None to 'x'", True),
    "the items of a list changed": (
        lambda s, f: f["tags"].update(items={"type": "integer"}),
        "/tags/*: type string became integer",
        True,
    ),
    "the items of a list become nullable": (
        lambda s, f: f["tags"].update(items={"type": ["string", "null"]}),
        "/tags/*: type string became string|null",
        True,
    ),
    "the items of a list left open": (lambda s, f: f["tags"].pop("items"), "/tags: `items` came or went", True),
    "the values of a map changed": (
        lambda s, f: f["channels"].update(additionalProperties=TEXT),
        "/channels/*: type boolean became string",
        True,
    ),
    "the values of a map left open": (
        lambda s, f: f["channels"].pop("additionalProperties"),
        "/channels: `additionalProperties` came or went",
        True,
    ),
    "an object that becomes a map": (
        lambda s, f: f.update(price={"type": "object", "additionalProperties": TEXT}),
        "/price: `additionalProperties` came or went",
        True,
    ),
    "an object closed to unknown fields": (
        lambda s, f: s.update(additionalProperties=False),
        "`additionalProperties` came or went",
        False,
    ),
    "a field of a nested object removed": (
        lambda s, f: (f["price"]["properties"].pop("currency"), f["price"]["required"].remove("currency")),
        "/price/currency: was removed",
        True,
    ),
    "a nested field becomes required": (
        lambda s, f: (
            f["price"]["properties"].update(rate=TEXT),
            f["price"]["required"].append("rate"),
        ),
        "/price/rate: is new and required",
        True,
    ),
    "a field of a list's items removed": (
        lambda s, f: f["lines"]["items"]["properties"].pop("amount"),
        "/lines/*/amount: was removed",
        True,
    ),
    "a field of a map's values becomes optional": (
        lambda s, f: f["parts"]["additionalProperties"]["required"].remove("amount"),
        "/parts/*/amount: is no longer required",
        True,
    ),
    "a personal field no longer marked": (
        lambda s, f: f["name"].pop("x-pii"),
        "/name: is no longer marked `x-pii`",
        False,
    ),
    "a field that cannot be null becomes personal": (
        lambda s, f: f["code"].update({"x-pii": True}),
        "/code: became personal, but was never nullable",
        False,
    ),
    "an alternative": (lambda s, f: f["note"].update(oneOf=[TEXT]), "/note: `oneOf` came or went", True),
    "an event moved to another topic": (
        lambda s, f: s.update({"x-topic": "crm.contacts.state.v1"}),
        "moved from topic crm.contacts.events.v1 to crm.contacts.state.v1",
        False,
    ),
}


def payloads(schema: Schema) -> st.SearchStrategy[Any]:
    """Data that a schema of the subset allows; our own, so that no rule of `compatibility` is its judge."""
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kinds = schema.get("type", ["string", "boolean", "integer", "null"])
    return st.one_of([_payloads(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _payloads(kind: str, schema: Schema) -> st.SearchStrategy[Any]:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**53)), schema.get("maximum", 2**53))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "string" if schema.get("format") == "uuid":
            return st.uuids().map(str)
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z")
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 8))
        case "array":
            items = payloads(schema.get("items", {}))
            return st.lists(items, min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 4))
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=3), payloads(schema.get("additionalProperties", {})), max_size=2)
    fields = {name: payloads(field) for name, field in schema["properties"].items()}
    required = {name: each for name, each in fields.items() if name in schema.get("required", ())}
    return st.fixed_dictionaries(
        required, optional={name: each for name, each in fields.items() if name not in required}
    )


def differing(old: Schema, new: Schema) -> tuple[Schema, Schema]:
    """Both without the fields in which they agree: smaller data shows the same."""
    names = [name for name in old["properties"] if old["properties"][name] == new["properties"].get(name)]
    same = [name for name in names if (name in old["required"]) == (name in new["required"])]

    def reduced(schema: Schema) -> Schema:
        fields = {name: field for name, field in schema["properties"].items() if name not in same}
        return {**schema, "properties": fields, "required": [each for each in schema["required"] if each not in same]}

    return reduced(old), reduced(new)


def reads(schema: Schema) -> Callable[[Any], bool]:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_a_change_that_readers_do_not_notice_is_accepted(change: Change) -> None:
    assert breaking_changes(BASE, changed(change)) == []
    assert violations({**changed(change), "properties": changed(change)["properties"] | {"kind": TEXT}}) == []


@pytest.mark.parametrize(("change", "message", "_"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_readers_is_rejected_and_says_why(change: Change, message: str, _: bool) -> None:
    problems = breaking_changes(BASE, changed(change))
    assert message in "\n".join(problems)


@pytest.mark.parametrize(("change", "_", "visible"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_readers_is_rejected_backwards_too(change: Change, _: str, visible: bool) -> None:
    # given the change undone: only becoming optional, or marked, or nullable-and-personal reads differently
    problems = breaking_changes(changed(change), BASE)
    assert problems or not visible


@pytest.mark.slow
@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_generated_data_of_either_version_is_valid_in_the_other_after_an_allowed_change(change: Change) -> None:
    old, new = differing(BASE, changed(change))

    @SAMPLE
    @given(old_data=payloads(old), new_data=payloads(new))
    def readable(old_data: Any, new_data: Any) -> None:
        assert reads(new)(old_data)
        assert reads(old)(new_data)

    readable()


VISIBLE = {name: change for name, (change, _, visible) in BREAKING.items() if visible}


@pytest.mark.slow
@pytest.mark.parametrize("change", VISIBLE.values(), ids=VISIBLE)
def test_generated_data_shows_that_a_breaking_change_breaks(change: Change) -> None:
    old, new = differing(BASE, changed(change))

    def refused(data: Schema, reader: Schema) -> bool:
        valid = reads(reader)
        try:
            find(payloads(data), lambda value: not valid(value), settings=SEARCH)
        except NoSuchExample:
            return False
        return True

    assert refused(old, new) or refused(new, old)


def test_every_pair_of_minor_versions_is_compared_not_only_neighbours() -> None:
    # given a field that was dropped and came back as another
    text = changed(lambda s, f: f.update(size=TEXT))
    number = changed(lambda s, f: f.update(size={"type": "integer"}))
    # when the versions lie two apart
    problems = incompatibilities({(1, 0): text, (1, 1): BASE, (1, 2): number})
    # then the distant pair is named as well
    assert "1.0 -> 1.1 /size: was removed; old readers still use it" in problems
    assert any(problem.startswith("1.0 -> 1.2 /size: type string became integer") for problem in problems)
    assert not any(problem.startswith("1.1 -> 1.2") for problem in problems)


def test_majors_are_not_compared_with_each_other() -> None:
    assert incompatibilities({(1, 0): BASE, (2, 0): changed(lambda s, f: f.pop("note"))}) == []


@pytest.mark.parametrize("event_type", all_event_types(), ids=lambda each: each.ce_type)
def test_a_model_reads_whatever_its_schema_allows_and_renders_it_as_the_schema_allows(
    event_type: PublicEventType,
) -> None:
    schema = schema_of(event_type)
    valid = reads(schema)

    @SAMPLE
    @given(payload=payloads(schema))
    def agree(payload: Any) -> None:
        assert valid(payload)
        assert valid(event_type.model.model_validate({**payload, "unknown": [1]}).model_dump(mode="json"))

    agree()
