"""The page for subscribers: its generated parts, its promises, and the subscriber that it shows."""

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest

from crm_contracts.catalogue import all_event_types
from crm_contracts.envelope import HEADER_NAMES, Headers
from crm_contracts.events.contacts import CustomerTagged
from crm_contracts.schemas import committed
from crm_contracts.tooling import docs
from crm_contracts.tooling.examples import example_record
from crm_contracts.types import EXAMPLE_CUSTOMER as CUSTOMER

FOLDER = Path(__file__).parents[3] / "docs"
PAGE = (FOLDER / "events.md").read_text(encoding="utf-8")
SUBSCRIBER = FOLDER / "examples" / "subscriber.py"

# As they stand in the contract: what is promised does not change by accident.
PROMISES = """\
1. At least once; in order per key; nothing lost. Not exactly once: a subscriber ignores a `ce_id` it has seen, or
   any `ce_sequence` at or below the last it applied for that key and source.
2. The same fact has the same `ce_id`, `ce_sequence` and bytes whenever it is sent again.
3. A field's meaning never changes. Unknown fields, unknown event types and unknown enumeration values may appear at
   any time, and a subscriber skips them.
4. A state topic's value is as of its `ce_sequence`: read it to its end, then follow the event topic from there.
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
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "subscriber.py").write_bytes(SUBSCRIBER.read_bytes())
    markers = [docs.CODE_BEGIN, docs.CODE_END, docs.BEGIN, docs.END]
    (tmp_path / "events.md").write_text("\n".join(["# Page", *markers, "the end", ""]), encoding="utf-8")
    # then the check fails for both, and passes once they are written
    assert docs.main(["--check", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("run with --write") == 2
    assert docs.main(["--write", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "asyncapi.yaml").read_bytes() == (FOLDER / "asyncapi.yaml").read_bytes()
    assert (tmp_path / "events.md").read_text(encoding="utf-8").endswith(f"{docs.END}\nthe end\n")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the marker"):
        docs.page_with_generated_parts("# Page\n", "")


@dataclass
class KafkaRecord:
    """A record as a consumer hands it out."""

    key: bytes
    value: bytes | None
    headers: Headers


class Broker:
    """Stands for an AIOKafkaConsumer: hands out records once, and counts commits."""

    records: tuple[KafkaRecord, ...] = ()
    commits = 0
    arguments: tuple[Any, ...] = ()

    def __init__(self, *topics: str, **options: Any) -> None:
        type(self).arguments = (topics, options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[KafkaRecord]:
        for record in self.records:
            yield record

    async def commit(self) -> None:
        type(self).commits += 1


def subscriber() -> ModuleType:
    spec = importlib.util.spec_from_file_location("subscriber_example", SUBSCRIBER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sent(position: int, customer: str = CUSTOMER) -> KafkaRecord:
    record = example_record(CustomerTagged(customer_id=customer, tag=f"tag {position}"), position)
    return KafkaRecord(record.key, record.value, record.headers)


async def test_the_subscriber_passes_each_event_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # given deliveries with repetitions, of two customers, and an erased one
    other = "00000000-0000-4000-8000-000000000002"
    erased = KafkaRecord(other.encode(), None, sent(9).headers)
    module = subscriber()
    monkeypatch.setattr(module, "AIOKafkaConsumer", Broker)
    monkeypatch.setattr(Broker, "records", (sent(1), sent(5), sent(1), sent(5), sent(3, other), sent(7), erased))
    # when it subscribes
    passed = [
        (headers["ce_sequence"].lstrip("0"), data and data["tag"])
        async for headers, data in module.subscribe("broker:9092", "a-group", "crm.contacts.events.v1")
    ]
    # then each comes once, in order, and every delivery is committed
    assert passed == [("1", "tag 1"), ("5", "tag 5"), ("3", "tag 3"), ("7", "tag 7"), ("9", None)]
    assert Broker.commits == 7
    topics, options = Broker.arguments
    assert topics == ("crm.contacts.events.v1",)
    assert options["bootstrap_servers"] == "broker:9092"
    assert options["group_id"] == "a-group"


async def test_the_subscriber_runs_as_the_page_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = subscriber()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setattr(module, "AIOKafkaConsumer", Broker)
    monkeypatch.setattr(Broker, "records", (sent(1),))
    await module.main()
    expected = json.dumps({"customer_id": CUSTOMER, "tag": "tag 1"}).replace('"', "'")
    assert capsys.readouterr().out == f"crm.contacts.CustomerTagged.v1 2026-01-14T02:30:00Z {expected}\n"
