"""The segment index: given a customer's facts before and after a change, the segments whose result can differ."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from segmentation_service.conditions.fields import Field
from segmentation_service.conditions.tree import Condition, Leaf, evaluate, leaves_of
from segmentation_service.conditions.values import COMPARABLE, ValueType, is_present
from segmentation_service.facts import Facts

_NOTHING: Facts = {}


class SegmentIndex:
    """Conditions by segment key, indexed by what can change their result.

    A change of one ordered value (number, money, time, date) visits only the thresholds between the old and the
    new value, so its cost hardly grows with the number of segments. What `affected` names may still not differ;
    what it does not name cannot.
    """

    def __init__(self, segments: Mapping[str, Condition] = MappingProxyType({})) -> None:
        self._conditions: dict[str, Condition] = {}
        self._root = _Node()
        # A customer seen for the first time enters these unless their first facts keep them out.
        self._true_of_nobody: set[str] = set()
        for key, condition in segments.items():
            self.add(key, condition)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """Segment key -> its condition."""
        return MappingProxyType(self._conditions)

    def add(self, key: str, condition: Condition) -> None:
        """Index a segment; a segment already indexed under this key is replaced."""
        self.remove(key)
        self._conditions[key] = condition
        for leaf in leaves_of(condition):
            self._root.at(leaf.field).add(leaf, key)
        if evaluate(condition, _NOTHING):
            self._true_of_nobody.add(key)

    def remove(self, key: str) -> None:
        """Forget a segment; nothing happens when no segment has this key."""
        condition = self._conditions.pop(key, None)
        if condition is None:
            return
        self._true_of_nobody.discard(key)
        for leaf in leaves_of(condition):
            self._root.remove(leaf, key)

    def affected(self, before: Facts | None, after: Facts) -> set[str]:
        """Keys of the segments whose result can differ; `before` is None for a customer not seen before.

        Fastest when `after` was folded from `before`, for then they share what did not change.
        """
        affected: set[str] = set()
        if before is None:
            affected |= self._true_of_nobody
            before = _NOTHING
        if before is not after:
            self._root.visit(before, after, affected)
        return affected


class _Buckets:
    """Segment keys by a value."""

    __slots__ = ("keys",)

    def __init__(self) -> None:
        self.keys: dict[Any, set[str]] = {}

    def add(self, value: Any, key: str) -> None:
        self.keys.setdefault(value, set()).add(key)

    def remove(self, value: Any, key: str) -> None:
        if bucket := self.keys.get(value):
            bucket.discard(key)
            if not bucket:
                del self.keys[value]


class _Thresholds(_Buckets):
    """Sorted thresholds of one kind, each a point that a value passes when it rises or falls.

    A threshold is passed on reaching it (`gte`, `lt`) or on going beyond it (`gt`, `lte`). A missing value lies
    below all thresholds of comparisons that high values meet, above all those of comparisons that low values meet:
    there, every one of them is false.
    """

    __slots__ = ("_missing_is_high", "_passed_below", "values")

    def __init__(self, *, on_reaching: bool, missing_is_high: bool) -> None:
        super().__init__()
        self.values: list[Any] = []
        self._passed_below: Callable[[list[Any], Any], int] = bisect_right if on_reaching else bisect_left
        self._missing_is_high = missing_is_high

    def add(self, value: Any, key: str) -> None:
        if value not in self.keys:
            insort(self.values, value)
        super().add(value, key)

    def remove(self, value: Any, key: str) -> None:
        super().remove(value, key)
        if value not in self.keys:
            i = bisect_left(self.values, value)
            if i < len(self.values) and self.values[i] == value:
                del self.values[i]

    def visit(self, old: Any, new: Any, affected: set[str]) -> None:
        values = self.values
        missing = len(values) if self._missing_is_high else 0
        i = missing if old is None else self._passed_below(values, old)
        j = missing if new is None else self._passed_below(values, new)
        if i != j:
            keys = self.keys
            for value in values[i:j] if i < j else values[j:i]:
                affected |= keys[value]


class _TypedIndex:
    """The leaves of one field that compare values of one type."""

    __slots__ = ("_by_value", "_comparable", "_is_set", "_on_change", "_on_presence", "_thresholds", "_used")

    def __init__(self, compared_as: ValueType) -> None:
        self._comparable = COMPARABLE[compared_as]
        self._is_set = compared_as == "set"
        self._by_value = _Buckets()
        self._on_presence: set[str] = set()
        self._on_change: set[str] = set()
        self._thresholds = {
            "gte": _Thresholds(on_reaching=True, missing_is_high=False),
            "gt": _Thresholds(on_reaching=False, missing_is_high=False),
            "lt": _Thresholds(on_reaching=True, missing_is_high=True),
            "lte": _Thresholds(on_reaching=False, missing_is_high=True),
        }
        self._used: list[_Thresholds] = []

    def add(self, leaf: Leaf, key: str) -> None:
        thresholds, values, sets = self._places(leaf)
        for at, value in thresholds:
            at.add(value, key)
        for value in values:
            self._by_value.add(value, key)
        for keys in sets:
            keys.add(key)
        self._used = [used for used in self._thresholds.values() if used.values]

    def remove(self, leaf: Leaf, key: str) -> None:
        thresholds, values, sets = self._places(leaf)
        for at, value in thresholds:
            at.remove(value, key)
        for value in values:
            self._by_value.remove(value, key)
        for keys in sets:
            keys.discard(key)
        self._used = [used for used in self._thresholds.values() if used.values]

    def is_empty(self) -> bool:
        return not (self._used or self._by_value.keys or self._on_presence or self._on_change)

    def _places(self, leaf: Leaf) -> tuple[Iterable[tuple[_Thresholds, Any]], Iterable[Any], Iterable[set[str]]]:
        """Where a leaf is indexed: (thresholds, single values, sets for any change of a kind)."""
        operand = leaf.operand
        match leaf.op:
            case "gt" | "gte" | "lt" | "lte":
                return [(self._thresholds[leaf.op], operand)], (), ()
            case "after":
                return [(self._thresholds["gt"], operand)], (), ()
            case "before":
                return [(self._thresholds["lt"], operand)], (), ()
            case "between":
                # Entered on reaching the lowest value and left on going beyond the highest.
                return [(self._thresholds["gte"], operand[0]), (self._thresholds["gt"], operand[1])], (), ()
            case "eq":
                return (), [operand], ()
            case "in":
                return (), operand, ()
            case "contains" if self._is_set:
                return (), [operand], ()
            # These hold for every value but theirs, so also when the first value of all appears.
            case "ne":
                return (), [operand], [self._on_presence]
            case "not_in":
                return (), operand, [self._on_presence]
            case _:
                return (), (), [self._on_change]

    def visit(self, raw_before: Any, raw_after: Any, affected: set[str]) -> None:
        old, new = self._comparable(raw_before), self._comparable(raw_after)
        if old == new:
            return
        for thresholds in self._used:
            thresholds.visit(old, new, affected)
        by_value = self._by_value.keys
        if by_value:
            for value in old ^ new if self._is_set else (old, new):
                if value in by_value:
                    affected |= by_value[value]
        if self._on_presence and (old is None or new is None):
            affected |= self._on_presence
        if self._on_change:
            affected |= self._on_change


class _FieldIndex:
    """The leaves of one field. A scalar field has several types, each blind to values of the others."""

    __slots__ = ("_exists", "_field", "_typed", "_used")

    def __init__(self, field: Field) -> None:
        self._field = field
        self._exists: set[str] = set()
        self._typed: dict[ValueType, _TypedIndex] = {}

    def add(self, leaf: Leaf, key: str) -> None:
        if leaf.op == "exists":
            self._exists.add(key)
            return
        typed = self._typed.get(leaf.compared_as)
        if typed is None:
            typed = self._typed[leaf.compared_as] = _TypedIndex(leaf.compared_as)
        typed.add(leaf, key)

    def remove(self, leaf: Leaf, key: str) -> None:
        if leaf.op == "exists":
            self._exists.discard(key)
        elif typed := self._typed.get(leaf.compared_as):
            typed.remove(leaf, key)
            if typed.is_empty():
                del self._typed[leaf.compared_as]

    def is_empty(self) -> bool:
        return not (self._exists or self._typed)

    def visit(self, before: Any, after: Any, affected: set[str]) -> None:
        default = self._field.default
        if before is None:
            before = default
        if after is None:
            after = default
        for typed in self._typed.values():
            typed.visit(before, after, affected)
        if self._exists and is_present(self._field.type, before) != is_present(self._field.type, after):
            affected |= self._exists


class _Node:
    """A place in the facts, above or at indexed fields; unchanged branches are passed over whole."""

    __slots__ = ("children", "index")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.index: _FieldIndex | None = None

    def at(self, field: Field) -> _FieldIndex:
        """The index of a field, made on first use."""
        node = self
        for name in field.path:
            node = node.children.setdefault(name, _Node())
        if node.index is None:
            node.index = _FieldIndex(field)
        return node.index

    def remove(self, leaf: Leaf, key: str) -> None:
        """Take a leaf out, and what is empty after it."""
        way = list(self._way(leaf.field))
        if len(way) <= len(leaf.field.path):
            return
        last = way[-1]
        if last.index is not None:
            last.index.remove(leaf, key)
            if last.index.is_empty():
                last.index = None
        for parent, name, child in reversed(list(zip(way, leaf.field.path, way[1:], strict=False))):
            if child.index is None and not child.children:
                del parent.children[name]

    def _way(self, field: Field) -> Iterator["_Node"]:
        node: _Node | None = self
        for name in (*field.path, ""):
            if node is None:
                return
            yield node
            node = node.children.get(name)

    def visit(self, before: Any, after: Any, affected: set[str]) -> None:
        """Find what a change from `before` to `after`, which are not the same object, can affect."""
        if self.index is not None:
            self.index.visit(before, after, affected)
        children = self.children
        if not children:
            return
        if not isinstance(before, dict):
            before = _NOTHING
        if not isinstance(after, dict):
            after = _NOTHING
        # The facts or the index: whichever names fewer places (custom attributes can be many, on either side).
        if len(children) <= len(before) + len(after):
            for name, child in children.items():
                old, new = before.get(name), after.get(name)
                if old is not new:
                    child.visit(old, new, affected)
        else:
            for name in before.keys() | after.keys():
                old, new = before.get(name), after.get(name)
                if old is not new and name in children:
                    children[name].visit(old, new, affected)
