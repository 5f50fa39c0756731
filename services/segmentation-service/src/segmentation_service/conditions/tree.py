"""Compiled conditions: what they mean for one customer's facts, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any

from crm_shared.text import plain
from segmentation_service.conditions.fields import Field
from segmentation_service.conditions.values import COMPARABLE, ValueType, is_present, shown
from segmentation_service.facts import Facts

Explanation = dict[str, Any]
"""The condition as JSON, each node with its `result`, each leaf with the customer's `actual` value (or None)."""

# Of a long value, so much is evidence enough for a decision that travels in an event.
_DECIDING_LEAVES = 20
_DECIDING_TEXT = 200
_DECIDING_TAGS = 10


@dataclass(frozen=True, slots=True)
class Leaf:
    """A comparison of one field with a threshold.

    `value` is the threshold as JSON (a tuple for a list); `operand` the same as stored values compare with it, as
    values of `compared_as`; `test` takes a stored value, None for a missing one.
    """

    field: Field
    op: str
    value: Any
    compared_as: ValueType
    operand: Any = member(compare=False, repr=False)
    test: Callable[[Any], bool] = member(compare=False, repr=False)

    def holds(self, facts: Facts) -> bool:
        """Whether the customer's value meets the threshold; a missing one does not."""
        return self.test(self.field.read(facts))


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is."""

    parts: tuple["Condition", ...]

    def holds(self, facts: Facts) -> bool:
        """Whether all parts hold, asking from left to right."""
        for part in self.parts:  # noqa: SIM110 - a loop takes half the time of all() over a generator
            if not part.holds(facts):
                return False
        return True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one part is."""

    parts: tuple["Condition", ...]

    def holds(self, facts: Facts) -> bool:
        """Whether a part holds, asking from left to right."""
        for part in self.parts:  # noqa: SIM110 - as above
            if part.holds(facts):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Not:
    """True when its part is not; so also when a comparison in it lacks a value."""

    part: "Condition"

    def holds(self, facts: Facts) -> bool:
        """Whether the part does not hold."""
        return not self.part.holds(facts)


Condition = AllOf | AnyOf | Not | Leaf


def evaluate(condition: Condition, facts: Facts) -> bool:
    """Whether the condition holds for these facts. A comparison with a missing value does not hold."""
    return condition.holds(facts)


def explain(condition: Condition, facts: Facts) -> Explanation:
    """Why the condition holds or not: its JSON with `result` at every node and `actual` at every leaf."""
    match condition:
        case Leaf():
            raw = condition.field.read(facts)
            return {
                **to_json(condition),
                "actual": shown(condition.field.type, raw),
                "result": condition.test(raw),
            }
        case AllOf(parts):
            explained = [explain(part, facts) for part in parts]
            return {"all": explained, "result": all(part["result"] for part in explained)}
        case AnyOf(parts):
            explained = [explain(part, facts) for part in parts]
            return {"any": explained, "result": any(part["result"] for part in explained)}
        case Not(part):
            inner = explain(part, facts)
            return {"not": inner, "result": not inner["result"]}


def deciding_leaves(explanation: Explanation) -> list[Explanation]:
    """The leaves of an explanation that made its result: those that, as they are, allow no other.

    At most 20, with long texts and sets of tags cut short, so that they fit into an event.
    """
    return [_shortened(leaf) for leaf, _ in zip(_deciding(explanation), range(_DECIDING_LEAVES), strict=False)]


def to_json(condition: Condition) -> dict[str, Any]:
    """The condition in the segment language, thresholds in their one written form; it parses to an equal one."""
    match condition:
        case Leaf():
            value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
            return {"field": condition.field.name, "op": condition.op, "value": value}
        case AllOf(parts):
            return {"all": [to_json(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, from left to right."""
    match condition:
        case Leaf():
            yield condition
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves_of(part)
        case Not(part):
            yield from leaves_of(part)


def leaf(of: Field, op: str, value: Any, compared_as: ValueType, operand: Any) -> Leaf:
    """A compiled leaf; the operator and the threshold must already be known to fit the field."""
    if op == "exists":

        def test(raw: Any) -> bool:
            return is_present(of.type, raw) is operand
    else:
        comparable = COMPARABLE[compared_as]
        holds = (_SET_TESTS if compared_as == "set" else _TESTS)[op](operand)

        def test(raw: Any) -> bool:
            actual = comparable(raw)
            return actual is not None and holds(actual)

    return Leaf(of, op, value, compared_as, operand, test)


_Test = Callable[[Any], bool]


def _below(operand: Any) -> _Test:
    return lambda actual: bool(actual < operand)


def _above(operand: Any) -> _Test:
    return lambda actual: bool(actual > operand)


def _contains(operand: str) -> _Test:
    if operand != plain(operand):
        return lambda actual: operand in actual
    # Without diacritics itself, it does not ask for them: "nguyen" is in "Nguyễn", as a search finds it.
    return lambda actual: operand in actual or (not actual.isascii() and operand in plain(actual))


def _starts_with(operand: str) -> _Test:
    if operand != plain(operand):
        return lambda actual: bool(actual.startswith(operand))
    return lambda actual: bool(plain(actual).startswith(operand))


_TESTS: Mapping[str, Callable[[Any], _Test]] = {
    "eq": lambda operand: lambda actual: bool(actual == operand),
    "ne": lambda operand: lambda actual: bool(actual != operand),
    "lt": _below,
    "before": _below,
    "gt": _above,
    "after": _above,
    "lte": lambda operand: lambda actual: bool(actual <= operand),
    "gte": lambda operand: lambda actual: bool(actual >= operand),
    "between": lambda operand: lambda actual: bool(operand[0] <= actual <= operand[1]),
    "in": lambda operand: lambda actual: actual in operand,
    "not_in": lambda operand: lambda actual: actual not in operand,
    "contains": _contains,
    "starts_with": _starts_with,
}
# Of a set, `in` asks for at least one of the listed members, `not_in` for none of them.
_SET_TESTS: Mapping[str, Callable[[Any], _Test]] = {
    "contains": lambda operand: lambda actual: operand in actual,
    "in": lambda operand: lambda actual: not actual.isdisjoint(operand),
    "not_in": lambda operand: lambda actual: bool(actual.isdisjoint(operand)),
}


def _deciding(explanation: Explanation) -> Iterator[Explanation]:
    if "not" in explanation:
        yield from _deciding(explanation["not"])
    elif "field" in explanation:
        yield explanation
    else:
        # One false part makes an `all` false, one true part an `any` true; else every part counts.
        parts: Sequence[Explanation] = explanation["all"] if "all" in explanation else explanation["any"]
        for part in parts:
            if part["result"] == explanation["result"]:
                yield from _deciding(part)


def _shortened(leaf: Explanation) -> Explanation:
    actual = leaf["actual"]
    if isinstance(actual, str) and len(actual) > _DECIDING_TEXT:
        return {**leaf, "actual": actual[:_DECIDING_TEXT] + "…"}
    if isinstance(actual, list):
        return {**leaf, "actual": actual[:_DECIDING_TAGS]}
    return leaf
