"""The schema files as the models say them: written once per version, compared ever after.

python -m crm_contracts.tooling.schemas --write    adds the files of new versions
python -m crm_contracts.tooling.schemas --check    fails unless the files are exactly what the models say
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from crm_contracts.catalogue import all_event_types, services
from crm_contracts.registry import PublicEventType
from crm_contracts.schemas import DIRECTORY, SchemaError, SchemaKey, committed
from crm_contracts.tooling.compatibility import ASSERTIONS, incompatibilities, violations
from crm_contracts.watermark import watermark_type

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# The order of keywords in the files; pydantic's own order may change with its version.
KEYWORD_ORDER = (
    *("$schema", "$id", "x-topic", "title", "description", "type", *ASSERTIONS, "x-pii", "examples"),
    *("items", "additionalProperties", "properties", "required"),
)


def schema_of(event_type: PublicEventType) -> dict[str, Any]:
    """The JSON Schema of an event's payload, self-contained. Raises `SchemaError` when the model breaks a rule."""
    generated = event_type.model.model_json_schema(mode="validation")
    try:
        body = _portable(generated, generated.get("$defs", {}), ())
    except SchemaError as error:
        raise SchemaError(f"{event_type.ce_type}: {error}") from error
    identity = {
        "$schema": DIALECT,
        "$id": event_type.schema_path,
        "x-topic": event_type.topic,
        "title": event_type.name,
    }
    schema = _ordered({**body, **identity})
    if problems := violations(schema):
        raise SchemaError("; ".join(f"{event_type.ce_type} {problem}" for problem in problems))
    return schema


def render(schema: Mapping[str, Any]) -> bytes:
    """The bytes of a schema file."""
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()


def check(event_types: Sequence[PublicEventType] | None = None, root: Traversable | None = None) -> list[str]:
    """What is wrong with the committed files, as readable sentences; empty when they are as the models say."""
    current = _current(event_types)
    existing = committed(root)
    problems = [f"{key} is not committed; run with --write" for key in current if key not in existing]
    problems += _differing(current, existing)
    problems += _history(set(current), set(existing))
    return problems + _incompatible(existing)


def write(root: Path, event_types: Sequence[PublicEventType] | None = None) -> list[Path]:
    """Add the files of versions that have none yet; returns them.

    Raises `SchemaError`, and writes nothing, when a committed version would change or a new one breaks readers.
    """
    current = _current(event_types)
    existing = committed(root) if root.is_dir() else {}
    problems = _differing(current, existing)
    problems += _history(set(current), set(existing) | set(current))
    problems += _incompatible({**existing, **current})
    if problems:
        raise SchemaError("\n".join(problems))
    added = []
    for key, content in current.items():
        if key not in existing:
            path = root / key.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            added.append(path)
    return added


def _current(event_types: Sequence[PublicEventType] | None) -> dict[SchemaKey, bytes]:
    return {
        SchemaKey(event_type.service, event_type.name, event_type.major, event_type.minor): render(
            schema_of(event_type)
        )
        for event_type in (_published() if event_types is None else event_types)
    }


def _published() -> list[PublicEventType]:
    return [*all_event_types(), *(watermark_type(service) for service in services())]


def _differing(current: Mapping[SchemaKey, bytes], existing: Mapping[SchemaKey, bytes]) -> list[str]:
    return [
        f"{key} is committed and cannot change: undo the change of the model, or give it a new minor version, "
        f'@public_event("{key.service}", "{key.major}.{key.minor + 1}")'
        for key, content in current.items()
        if existing.get(key, content) != content
    ]


def _history(current: set[SchemaKey], existing: set[SchemaKey]) -> list[str]:
    problems = []
    newest = {key[:3]: key for key in current}
    for key in sorted(existing):
        if key[:3] not in newest:
            problems.append(f"{key} is committed, but no model publishes {key.name}.v{key.major} any more")
        elif key > newest[key[:3]]:
            problems.append(f"{key} is committed, but the model says {newest[key[:3]]}; versions only rise")
        if key.minor > 0 and key._replace(minor=key.minor - 1) not in existing:
            problems.append(f"{key} has no predecessor: minor versions rise by one")
    return problems


def _incompatible(contents: Mapping[SchemaKey, bytes]) -> list[str]:
    histories: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = {}
    for key, content in contents.items():
        histories.setdefault((key.service, key.name), {})[key.major, key.minor] = json.loads(content)
    return [
        f"{service}.{name} {problem}"
        for (service, name), versions in sorted(histories.items())
        for problem in incompatibilities(versions)
    ]


def _portable(node: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
    """What pydantic generated, in the contract's subset: references inlined, nullable as a list of types."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name in within or name not in definitions:
            raise SchemaError(f"{name} contains itself; the contract has no recursion")
        target = definitions[name]
        annotations = {key: value for key, value in node.items() if key != "$ref"}
        return _portable({**target, **annotations}, definitions, (*within, name))
    if "anyOf" in node:
        union = _union([_portable(alternative, definitions, within) for alternative in node["anyOf"]])
        siblings = {key: value for key, value in node.items() if key not in ("anyOf", "title", "default")}
        return _ordered({**union, **siblings})
    result = {key: value for key, value in node.items() if key not in ("$defs", "default")}
    if "properties" in node:
        fields = node["properties"]
        result["properties"] = {name: _portable(field, definitions, within) for name, field in fields.items()}
    else:
        result.pop("title", None)  # pydantic's, made from the field's name
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), Mapping):
            result[keyword] = _portable(node[keyword], definitions, within)
    return _ordered(result)


def _ordered(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its keywords in the order of the files; unknown ones last, for the contract's rules to reject."""
    known = {keyword: schema[keyword] for keyword in KEYWORD_ORDER if keyword in schema}
    return {**known, **schema}


def _union(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    types: list[str] = []
    for member in members:
        kind = member.get("type", [])
        types += [kind] if isinstance(kind, str) else kind
    if "number" in types and "integer" in types:
        types.remove("integer")  # every integer is a number
    types = [*dict.fromkeys(kind for kind in types if kind != "null"), *(["null"] if "null" in types else [])]
    shaped = [member for member in members if set(member) - {"type"}]
    if len(shaped) > 1 or (shaped and len(types) > 1 + ("null" in types)):
        raise SchemaError("a union of different shapes: a variant is a new event type")
    return {**(shaped[0] if shaped else {}), "type": types if len(types) > 1 else types[0]}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="crm_contracts.tooling.schemas", description=__doc__.partition("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="add the files of new versions")
    mode.add_argument("--check", action="store_true", help="compare the files with the models byte for byte")
    try:
        if parser.parse_args(arguments).write:
            for path in write(Path(__file__).parents[1] / DIRECTORY):
                sys.stdout.write(f"wrote {path}\n")
        problems = check()
    except SchemaError as error:
        problems = [str(error)]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
