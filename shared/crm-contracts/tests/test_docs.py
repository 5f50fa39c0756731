"""The page for subscribers: its generated parts, its promises, and the subscriber that it shows."""

import re
from pathlib import Path
from typing import Any

import pytest

from crm_contracts.catalogue import all_event_types
from crm_contracts.envelope import HEADER_NAMES
from crm_contracts.schemas import committed
from crm_contracts.tooling import docs
from crm_contracts.watermark import WATERMARK_HEADER_NAMES, WatermarkData

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (FOLDER / "events.md").read_text(encoding="utf-8")
SUBSCRIBER = FOLDER.parents[1] / docs.SUBSCRIBER

# As they stand in the contract: what is promised does not change by accident.
PROMISES = """\
1. At least once; in order per key; nothing lost. Not exactly once: a subscriber ignores a `ce_id` it has seen, or
   any `ce_sequence` at or below the last it applied for that key and source.
2. The same fact has the same `ce_id`, `ce_sequence` and bytes whenever it is sent again.
3. A field's meaning never changes. Unknown fields, unknown event types and unknown enumeration values may appear at
   any time, and a subscriber skips them.
4. A state topic's value is as of its `ce_sequence`. For a complete copy: wait for a watermark in every partition of
   the event topic, then read the state topic to its end, then follow the event topic from those watermarks, and
   ignore any `ce_sequence` at or below the state's for that key.
"""


def test_the_generated_documents_are_as_the_registry_says() -> None:
    assert docs.check(FOLDER) == []


def test_the_four_promises_are_printed_as_they_stand() -> None:
    assert f"## What we promise\n\n{PROMISES}\n##" in PAGE


def test_the_page_shows_the_subscriber_as_it_is_kept() -> None:
    assert f"```python\n{SUBSCRIBER.read_text(encoding='utf-8')}```" in PAGE


@pytest.mark.parametrize("event_type", all_event_types(), ids=lambda each: each.ce_type)
def test_the_page_tells_of_every_event(event_type: Any) -> None:
    assert f"#### {event_type.name}\n" in PAGE
    assert f"`{event_type.ce_type}`, schema `{event_type.schema_path}`" in PAGE
    assert f"### `{event_type.topic}`" in PAGE


def test_the_page_tells_of_every_header_and_no_other() -> None:
    table = PAGE.partition("## Envelope")[2].partition("## ")[0]
    assert re.findall(r"^\| `([a-z_-]+)` \|", table, re.MULTILINE) == list(HEADER_NAMES)


def test_every_schema_and_file_that_the_page_names_exists() -> None:
    existing = {f"/schemas/{key.path}" for key in committed()}
    assert set(re.findall(r"/schemas/[A-Za-z0-9./]+\.json", PAGE)) <= existing
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (FOLDER / target).is_file()
    anchors = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert anchors == {each.name.lower() for each in all_event_types()}


def test_the_command_line_writes_what_it_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given a copy of the documents without their generated parts
    folder = tmp_path / "docs" / "reference"
    for kept in (folder, (tmp_path / docs.SUBSCRIBER).parent):
        kept.mkdir(parents=True)
    (tmp_path / docs.SUBSCRIBER).write_bytes(SUBSCRIBER.read_bytes())
    markers = [docs.CODE_BEGIN, docs.CODE_END, docs.BEGIN, docs.END]
    (folder / "events.md").write_text("\n".join(["# Page", *markers, "the end", ""]), encoding="utf-8")
    # then the check fails for both, and passes once they are written
    assert docs.main(["--check", "--folder", str(folder)]) == 1
    assert capsys.readouterr().err.count("run with --write") == 2
    assert docs.main(["--write", "--folder", str(folder)]) == 0
    assert (folder / "asyncapi.yaml").read_bytes() == (FOLDER / "asyncapi.yaml").read_bytes()
    assert (folder / "events.md").read_text(encoding="utf-8").endswith(f"{docs.END}\nthe end\n")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the marker"):
        docs.page_with_generated_parts("# Page\n", "")


def test_the_page_explains_every_field_of_a_watermark() -> None:
    section = PAGE.partition("## Watermarks\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE) == list(WatermarkData.model_fields)
    envelope = PAGE.partition("A watermark has only ")[2].partition(";")[0]
    assert re.findall(r"`([a-z_-]+)`", envelope) == list(WATERMARK_HEADER_NAMES)
