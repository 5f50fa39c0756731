"""From JSON to a compiled condition, or to a list of everything that is wrong with it."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from crm_shared.domain import FieldError, InvalidInput
from crm_shared.text import quoted
from segmentation_service.conditions.fields import ALL_OPERATORS, OPERATORS, Field, catalogue, resolve
from segmentation_service.conditions.tree import AllOf, AnyOf, Condition, Leaf, Not, leaf, to_json
from segmentation_service.conditions.values import (
    ValueType,
    WrongValue,
    is_unicode,
    parse_value,
    type_of,
)

MAX_DEPTH = 10
"""Nodes on the longest way from the root to a leaf, both counted."""

MAX_LEAVES = 100
"""Comparisons in one condition."""

MAX_LISTED = 200
"""Values in the list of `in` and `not_in`."""

MAX_BYTES = 16 * 1024
"""Of the whole condition as JSON in UTF-8: with its envelope it must fit into one public event."""

_MAX_ERRORS = 100
_GROUPS = ("all", "any", "not")
_LEAF = ("field", "op", "value")
# What a scalar field's operator takes; the others take any scalar.
_SCALAR_OPERANDS: dict[str, ValueType] = {
    **dict.fromkeys(("gt", "gte", "lt", "lte", "between"), "number"),
    **dict.fromkeys(("contains", "starts_with"), "string"),
}


class ConditionError(InvalidInput):
    """The condition is not of the segment language; `errors` names every place by its JSON pointer.

    Codes: wrong_type, missing, unknown_member, ambiguous, empty, too_deep, too_many_leaves, too_large,
    unknown_field, unknown_operator, operator_not_allowed, invalid_range, too_many_values.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        super().__init__("The condition is not valid", errors=list(errors))


def parse(source: object, *, at: str = "/condition") -> Condition:
    """Compile a condition given as decoded JSON; `at` is its own JSON pointer. Raises ConditionError."""
    count = _count_ends(source)
    if count > MAX_LEAVES:
        way_out = f"one comparison with `in` takes up to {MAX_LISTED} values"
        message = f"The condition has {count} comparisons; at most {MAX_LEAVES} are allowed: {way_out}"
        raise ConditionError([FieldError(at, "too_many_leaves", message)])
    parser = _Parser()
    condition = parser.node(source, at, 1)
    if condition is None or parser.errors:
        raise ConditionError(parser.errors)
    size = len(json.dumps(to_json(condition), ensure_ascii=False).encode())
    if size > MAX_BYTES:
        message = f"The condition has {size} bytes as JSON; at most {MAX_BYTES} are allowed"
        raise ConditionError([FieldError(at, "too_large", message)])
    return condition


def _count_ends(source: object) -> int:
    """Comparisons in a condition, well formed or not: everything but a group of conditions counts as a comparison.

    Without recursion, because the depth has not been checked yet.
    """
    count = 0
    left = [source]
    while left:
        node = left.pop()
        inner = next((node[name] for name in _GROUPS if name in node), None) if isinstance(node, dict) else None
        parts = [inner] if isinstance(inner, dict) else inner
        if isinstance(parts, list) and parts:
            left.extend(parts)
        else:
            count += 1
    return count


class _Parser:
    """Walks the whole tree, so that all errors are reported at once."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def wrong(self, pointer: str, code: str, message: str) -> None:
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(FieldError(pointer, code, message))

    def node(self, source: object, pointer: str, depth: int) -> Condition | None:
        if depth > MAX_DEPTH:
            self.wrong(pointer, "too_deep", f"Conditions nest at most {MAX_DEPTH} levels")
        elif not isinstance(source, dict):
            self.wrong(pointer, "wrong_type", "Expected an object: all, any, not, or field with op and value")
        elif not any(name in source for name in _GROUPS):
            return self._leaf(source, pointer)
        elif sum(name in source for name in _GROUPS) > 1 or any(name in source for name in _LEAF):
            self.wrong(pointer, "ambiguous", "Expected one of all, any, not, or field with op and value")
        else:
            return self._group(source, pointer, depth)
        return None

    def _group(self, source: dict[str, Any], pointer: str, depth: int) -> Condition | None:
        name = next(name for name in _GROUPS if name in source)
        self._only(source, [name], pointer)
        inner, pointer = source[name], f"{pointer}/{name}"
        if name == "not":
            part = self.node(inner, pointer, depth + 1)
            return None if part is None else Not(part)
        if not isinstance(inner, list):
            self.wrong(pointer, "wrong_type", "Expected a list of conditions")
            return None
        if not inner:
            self.wrong(pointer, "empty", f"Expected at least one condition in {name}")
            return None
        parts = [self.node(condition, f"{pointer}/{i}", depth + 1) for i, condition in enumerate(inner)]
        valid = tuple(part for part in parts if part is not None)
        if len(valid) < len(parts):
            return None
        return AllOf(valid) if name == "all" else AnyOf(valid)

    def _only(self, source: dict[str, Any], known: Iterable[str], pointer: str) -> None:
        unknown = sorted(set(source) - set(known))
        if unknown:
            names = ", ".join(map(quoted, unknown[:5]))
            self.wrong(pointer, "unknown_member", f"Unexpected beside {', '.join(known)}: {names}")

    def _leaf(self, source: dict[str, Any], pointer: str) -> Leaf | None:
        before = len(self.errors)
        self._only(source, _LEAF, pointer)
        for name in _LEAF:
            if name not in source:
                self.wrong(f"{pointer}/{name}", "missing", f"Expected {name}, or a group: all, any, not")
        field = self._field(source["field"], f"{pointer}/field") if "field" in source else None
        op = self._op(source["op"], field, f"{pointer}/op") if "op" in source else None
        if field is None or op is None or "value" not in source:
            return None
        parsed = self._value(field, op, source["value"], f"{pointer}/value")
        if len(self.errors) > before or parsed is None:
            return None
        return leaf(field, op, *parsed)

    def _field(self, name: object, pointer: str) -> Field | None:
        if not isinstance(name, str):
            self.wrong(pointer, "wrong_type", "Expected the name of a field")
            return None
        field = resolve(name) if is_unicode(name) else None
        if field is None:
            near = difflib.get_close_matches(name[:100], [known.field for known in catalogue()], n=1)
            hint = f"; did you mean {near[0]}?" if near else "; GET /v1/fields lists all"
            self.wrong(pointer, "unknown_field", f"There is no field {quoted(name)}{hint}")
        return field

    def _op(self, op: object, field: Field | None, pointer: str) -> str | None:
        if not isinstance(op, str):
            self.wrong(pointer, "wrong_type", "Expected the name of an operator")
        elif op not in ALL_OPERATORS:
            known = ", ".join(field.operators if field else sorted(ALL_OPERATORS))
            self.wrong(pointer, "unknown_operator", f"There is no operator {quoted(op)}; known: {known}")
        elif field is not None and op not in field.operators:
            why = " that every customer has" if op in OPERATORS[field.type] else f" of type {field.type}"
            allowed = ", ".join(field.operators)
            self.wrong(pointer, "operator_not_allowed", f"{op} does not fit a field{why}; allowed: {allowed}")
        else:
            return op
        return None

    def _value(self, field: Field, op: str, value: object, pointer: str) -> tuple[Any, ValueType, Any] | None:
        """(the threshold as JSON, what it compares as, its comparable form), or None after telling what is wrong."""
        match op:
            case "exists":
                threshold = self._one("boolean", value, pointer)
                # What it is compared as means nothing to `exists`; the field's type keeps it apart.
                return threshold and (threshold[0], "boolean", threshold[1])
            case "between":
                return self._between(field, value, pointer)
            case "in" | "not_in":
                return self._listed(field, value, pointer)
        compared_as = self._type(field, op, value, pointer)
        threshold = compared_as and self._one(compared_as, value, pointer)
        if not compared_as or not threshold:
            return None
        if op in ("contains", "starts_with") and not value:
            self.wrong(pointer, "empty", "Expected at least one character")
            return None
        return threshold[0], compared_as, threshold[1]

    def _between(self, field: Field, value: object, pointer: str) -> tuple[Any, ValueType, Any] | None:
        if not isinstance(value, list) or len(value) != 2:
            self.wrong(pointer, "wrong_type", "Expected a list of two values: the lowest and the highest")
            return None
        compared_as = self._type(field, "between", value[0], pointer)
        ends = compared_as and [self._one(compared_as, end, f"{pointer}/{i}") for i, end in enumerate(value)]
        if not compared_as or not ends or ends[0] is None or ends[1] is None:
            return None
        (low, least), (high, most) = ends[0], ends[1]
        if least > most:
            self.wrong(pointer, "invalid_range", "Expected the lower value first")
            return None
        return (low, high), compared_as, (least, most)

    def _listed(self, field: Field, value: object, pointer: str) -> tuple[Any, ValueType, Any] | None:
        if not isinstance(value, list):
            self.wrong(pointer, "wrong_type", "Expected a list of values")
        elif not value:
            self.wrong(pointer, "empty", "Expected at least one value")
        elif len(value) > MAX_LISTED:
            self.wrong(pointer, "too_many_values", f"Expected at most {MAX_LISTED} values")
        elif compared_as := self._type(field, "in", value[0], f"{pointer}/0"):
            listed = [self._one(compared_as, item, f"{pointer}/{i}") for i, item in enumerate(value)]
            thresholds = [threshold for threshold in listed if threshold is not None]
            if len(thresholds) == len(listed):
                return (
                    tuple(threshold[0] for threshold in thresholds),
                    compared_as,
                    frozenset(threshold[1] for threshold in thresholds),
                )
        return None

    def _type(self, field: Field, op: str, value: object, pointer: str) -> ValueType | None:
        if field.type == "scalar" and op in _SCALAR_OPERANDS:
            return _SCALAR_OPERANDS[op]
        try:
            return type_of(field.type, value)
        except WrongValue as error:
            self.wrong(pointer, "wrong_type", str(error))
            return None

    def _one(self, value_type: ValueType, value: object, pointer: str) -> tuple[Any, Any] | None:
        try:
            return parse_value(value_type, value)
        except WrongValue as error:
            self.wrong(pointer, "wrong_type", str(error))
            return None
