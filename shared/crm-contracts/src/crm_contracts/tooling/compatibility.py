"""What a schema of the contract may contain, and which changes to it keep every reader working.

Both versions of a reader must understand both versions of the data: subscribers upgrade when they like, and replays
bring old events to new readers. The schemas are a small subset of JSON Schema 2020-12, so a few rules decide it.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

Schema = Mapping[str, Any]

ANNOTATIONS = frozenset({"$schema", "$id", "title", "description", "examples"})
ASSERTIONS = ("format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
STRUCTURE = frozenset({"type", "properties", "required", "items", "additionalProperties", "x-pii", "x-topic"})
KEYWORDS = ANNOTATIONS | STRUCTURE | frozenset(ASSERTIONS)
TYPES = frozenset({"string", "boolean", "integer", "number", "object", "array", "null"})


def violations(schema: Schema) -> list[str]:
    """What the contract forbids in one schema, as readable sentences; empty when it follows the contract."""
    problems = list(_violations(schema, ""))
    if schema.get("type") != "object" or "properties" not in schema:
        problems.append("/: a payload is one JSON object with named fields")
    return problems


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What stops a reader of one version from reading the other's data, as readable sentences; empty when nothing."""
    return list(_changes(old, new, ""))


def incompatibilities(versions: Mapping[tuple[int, int], Schema]) -> list[str]:
    """The breaking changes between every pair of minor versions within a major; `versions` is of one event type."""
    problems = []
    for old, new in combinations(sorted(versions), 2):
        if old[0] == new[0]:
            change = f"{old[0]}.{old[1]} -> {new[0]}.{new[1]}"
            problems += [f"{change} {problem}" for problem in breaking_changes(versions[old], versions[new])]
    return problems


def _types(schema: Schema) -> frozenset[str]:
    kind = schema.get("type", ())
    return frozenset({kind} if isinstance(kind, str) else kind)


def _show_type(schema: Schema) -> str:
    return "|".join(sorted(_types(schema), key=lambda name: (name == "null", name))) or "anything"


def _violations(schema: Schema, path: str) -> Iterator[str]:
    here = path or "/"
    for keyword in schema:
        if keyword in ("enum", "const"):
            yield f"{here}: `{keyword}` closes an enumeration; use a string and document its known values"
        elif keyword not in KEYWORDS:
            yield f"{here}: `{keyword}` is not part of the contract's JSON Schema subset"
    types = _types(schema)
    if not types or types - TYPES:
        yield f"{here}: `type` must name known types, not {_show_type(schema)}"
    if len(types & {"object", "array"}) > 1 or (types & {"object", "array"} and len(types - {"null"}) > 1):
        yield f"{here}: an object or array has no alternative; a variant is a new event type"
    if "object" in types:
        yield from _object_violations(schema, path)
    if "array" in types:
        if isinstance(schema.get("items"), Mapping):
            yield from _nested_violations(schema["items"], f"{path}/*")
        else:
            yield f"{here}: an array must say what its `items` are"


def _object_violations(schema: Schema, path: str) -> Iterator[str]:
    here = path or "/"
    values = schema.get("additionalProperties")
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    if ("properties" in schema) == (values is not None):
        yield f"{here}: an object has either named fields or values of one type, and stays open to unknown fields"
    elif values is not None and not isinstance(values, Mapping):
        yield f"{here}: `additionalProperties` must be a schema; readers skip unknown fields"
    elif values is not None:
        yield from _nested_violations(values, f"{path}/*")
    if required - set(properties):
        yield f"{here}: requires {sorted(required - set(properties))}, which are not among its fields"
    for name, field in properties.items():
        if "x-pii" in field:
            if field["x-pii"] is not True:
                yield f"{path}/{name}: `x-pii` is true or absent"
            if name in required or "null" not in _types(field):
                yield f"{path}/{name}: a personal field must be optional and nullable"
        yield from _violations(field, f"{path}/{name}")


def _nested_violations(schema: Schema, path: str) -> Iterator[str]:
    if "x-pii" in schema:
        yield f"{path}: `x-pii` marks a named field: an item or a map's value cannot be left out"
    yield from _violations(schema, path)


def _changes(old: Schema, new: Schema, path: str) -> Iterator[str]:
    here = path or "/"
    yield from _type_changes(old, new, here)
    for keyword in (*ASSERTIONS, "enum", "const"):
        if old.get(keyword) != new.get(keyword):
            yield f"{here}: `{keyword}` changed from {old.get(keyword)!r} to {new.get(keyword)!r}"
    for keyword in sorted((set(old) ^ set(new)) - KEYWORDS - {"enum", "const"}):
        yield f"{here}: `{keyword}` came or went, and nothing is known of its effect on readers"
    if old.get("x-pii") and not new.get("x-pii"):
        yield f"{here}: is no longer marked `x-pii`; readers rely on the mark to protect it"
    if new.get("x-pii") and not old.get("x-pii") and "null" not in _types(old):
        yield f"{here}: became personal, but was never nullable; old readers cannot take it erased"
    if old.get("x-topic") != new.get("x-topic"):
        yield f"{here}: moved from topic {old.get('x-topic')} to {new.get('x-topic')}; subscribers would miss it"
    yield from _field_changes(old, new, path)
    for keyword in ("items", "additionalProperties"):
        if (keyword in old) != (keyword in new):
            yield f"{here}: `{keyword}` came or went; values of another shape would appear"
        elif isinstance(old.get(keyword), Mapping) and isinstance(new.get(keyword), Mapping):
            yield from _changes(old[keyword], new[keyword], f"{path}/*")
        elif old.get(keyword) != new.get(keyword):
            yield f"{here}: `{keyword}` changed from {old.get(keyword)!r} to {new.get(keyword)!r}"


def _type_changes(old: Schema, new: Schema, here: str) -> Iterator[str]:
    before, after = _types(old), _types(new)
    if before == after:
        return
    change = f"{here}: type {_show_type(old)} became {_show_type(new)}"
    # `number` admits what `integer` does, so integer -> number widens although the names differ.
    appeared = {kind for kind in after - before if not (kind == "integer" and "number" in before)}
    vanished = {kind for kind in before - after if not (kind == "integer" and "number" in after)}
    if appeared:
        yield f"{change}; an old reader does not expect {', '.join(sorted(appeared))}"
    if vanished:
        yield f"{change}; a new reader does not expect {', '.join(sorted(vanished))}, which old events hold"
    if not appeared and not vanished:
        yield f"{change}; the two mean the same only to some readers"


def _field_changes(old: Schema, new: Schema, path: str) -> Iterator[str]:
    fields, new_fields = old.get("properties", {}), new.get("properties", {})
    required, new_required = set(old.get("required", ())), set(new.get("required", ()))
    for name, field in fields.items():
        if name not in new_fields:
            yield f"{path}/{name}: was removed; old readers still use it"
            continue
        if name in required - new_required:
            yield f"{path}/{name}: is no longer required; old readers rely on it"
        if name in new_required - required:
            yield f"{path}/{name}: became required; old events may lack it"
        yield from _changes(field, new_fields[name], f"{path}/{name}")
    for name in new_fields:
        if name not in fields and name in new_required:
            yield f"{path}/{name}: is new and required; old events lack it"
