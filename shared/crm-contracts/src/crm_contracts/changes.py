"""Partial changes: how an event's `changed` pointers and values apply to what a reader knew before."""

from collections.abc import Mapping, Sequence
from typing import Any


def apply_changes(
    before: Mapping[str, Any], changed: Sequence[str], values: Mapping[str, Any], root: str
) -> dict[str, Any]:
    """`before` with everything that `changed` points at below `root` taken from `values`: set, or cleared.

    `root` is the pointer of the object itself, for example "/profile"; pointers elsewhere are left alone.
    `before` is not modified.
    """
    after = dict(before)
    for pointer in changed:
        if pointer.startswith(f"{root}/"):
            _take(after, pointer.removeprefix(f"{root}/").split("/"), values)
    return after


def known_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its nulls and empty objects, at every depth."""
    known = {name: known_values(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {name: value for name, value in known.items() if value is not None and value != {}}


def _take(target: dict[str, Any], path: Sequence[str], values: Mapping[str, Any]) -> None:
    first, *rest = path
    value = values.get(first)
    if rest:
        inner = dict(target.get(first) or {})
        _take(inner, rest, value or {})
        value = inner or None
    if value is None:
        target.pop(first, None)
    else:
        target[first] = value
