"""The documents that are generated from the registry: the AsyncAPI description, and the reference in docs/events.md.

python -m crm_contracts.tooling.docs --write    writes both
python -m crm_contracts.tooling.docs --check    fails unless both are as the registry says
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crm_contracts.catalogue import all_event_types, example_of
from crm_contracts.registry import PublicEventType
from crm_contracts.tooling import asyncapi
from crm_contracts.tooling.examples import example_record
from crm_contracts.tooling.schemas import schema_of

BEGIN = "<!-- generated: begin (python -m crm_contracts.tooling.docs --write) -->"
END = "<!-- generated: end -->"
SUBSCRIBER = "examples/plain_subscriber.py"
CODE_BEGIN = f"<!-- {SUBSCRIBER}: begin -->"
CODE_END = f"<!-- {SUBSCRIBER}: end -->"


def reference() -> str:
    """Every public event with its fields and an example, as Markdown."""
    event_types = sorted(all_event_types(), key=lambda each: (each.service, each.state))
    rows = [f"| [{each.name}](#{each.name.lower()}) | {schema_of(each)['description']} |" for each in event_types]
    parts = ["\n".join(["| event | says |", "| --- | --- |", *rows, ""])]
    for topic in dict.fromkeys(each.topic for each in event_types):
        parts.append(f"### `{topic}`\n")
        parts += [_section(each) for each in event_types if each.topic == topic]
    return "\n".join(parts)


def page_with_generated_parts(page: str, subscriber: str) -> str:
    """The page for subscribers with the reference and the example subscriber put between their markers."""
    page = _between(page, CODE_BEGIN, CODE_END, f"```python\n{subscriber}```\n")
    return _between(page, BEGIN, END, reference())


def generated(folder: Path) -> dict[Path, str]:
    """What the generated documents in `folder` should contain; the examples lie beside it."""
    page = folder / "events.md"
    subscriber = (folder.resolve().parent / SUBSCRIBER).read_text(encoding="utf-8")
    return {
        folder / "asyncapi.yaml": asyncapi.render(),
        page: page_with_generated_parts(page.read_text(encoding="utf-8"), subscriber),
    }


def check(folder: Path) -> list[str]:
    """The documents in `folder` that are not as the registry says, as readable sentences."""
    return [
        f"{path} is not what the registry says; run with --write"
        for path, text in generated(folder).items()
        if not path.is_file() or path.read_bytes() != text.encode()
    ]


def _between(page: str, begin: str, end: str, text: str) -> str:
    before, found, rest = page.partition(f"{begin}\n")
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page lacks the marker {begin!r} or {end!r}")
    return f"{before}{begin}\n{text}{end}{after}"


def _section(event_type: PublicEventType) -> str:
    schema = schema_of(event_type)
    example = example_of(event_type)
    payload = json.loads(example_record(example).value or b"null")
    rows = "\n".join(_rows(schema, ""))
    return (
        f"#### {event_type.name}\n\n{schema['description']}\n\n"
        f"`{event_type.ce_type}`, schema `{event_type.schema_path}`\n\n"
        f"| field | type | always | personal | meaning |\n| --- | --- | --- | --- | --- |\n{rows}\n\n"
        f"<details><summary>Example</summary>\n\n```json\n"
        f"{json.dumps(payload, indent=2, ensure_ascii=False)}\n```\n\n</details>\n"
    )


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        path = f"{prefix}{name}"
        always = "yes" if name in required else ""
        personal = "yes" if field.get("x-pii") else ""
        yield f"| `{path}` | {_type(field)} | {always} | {personal} | {_meaning(field)} |"
        nested = field.get("items", field)
        if "properties" in nested:
            yield from _rows(nested, f"{path}[]." if "items" in field else f"{path}.")


def _type(field: Mapping[str, Any]) -> str:
    kinds = [field["type"]] if isinstance(field["type"], str) else list(field["type"])
    names = {"array": "array of ", "object": "object"}
    shown = []
    for kind in kinds:
        name = names.get(kind, kind)
        if kind == "array":
            name += _type(field["items"])
        elif kind == "object" and "additionalProperties" in field:
            name = f"map of text to {_type(field['additionalProperties'])}"
        elif kind == "object" and "title" in field:
            name = field["title"]
        elif kind == "string" and "format" in field:
            name = field["format"]
        shown.append(name)
    return " or ".join(shown)


def _meaning(field: Mapping[str, Any]) -> str:
    return str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="crm_contracts.tooling.docs", description=__doc__.partition("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the generated documents")
    mode.add_argument("--check", action="store_true", help="compare them byte for byte")
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="the folder of the documents")
    options = parser.parse_args(arguments)
    if options.write:
        for path, text in generated(options.folder).items():
            path.write_bytes(text.encode())
    problems = check(options.folder)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
