"""The AsyncAPI description: as generated, valid by an independent model, and true of the records that we send."""

import json
import warnings
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic import ValidationError

from crm_contracts.catalogue import all_event_types, examples, services
from crm_contracts.envelope import HEADER_NAMES
from crm_contracts.registry import event_type_of
from crm_contracts.tooling import asyncapi, docs
from crm_contracts.tooling.examples import KEY_FIELDS, example_record
from crm_contracts.tooling.schemas import schema_of
from crm_contracts.watermark import WATERMARK_HEADER_NAMES, watermark_type
from crm_shared.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the package's models shadow attributes of pydantic's
    from asyncapi3.models.asyncapi import AsyncAPI3  # type: ignore[import-untyped]

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]
each_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_committed_description_is_the_generated_one_byte_for_byte() -> None:
    assert docs.generated(COMMITTED.parent)[COMMITTED].encode() == COMMITTED.read_bytes()


def test_the_description_reads_back_as_it_was_generated() -> None:
    assert json.loads(json.dumps(asyncapi.document())) == DOCUMENT


def test_the_description_is_valid_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    AsyncAPI3.model_validate(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("channels/contactsEvents/bindings/kafka/partitions", "many"),
        ("channels/contactsEvents/bindings/kafka/unknown", 1),
        ("channels/contactsEvents/bindings/kafka/topicConfiguration/cleanup.policy", ["sometimes"]),
        ("operations/publish_contactsEvents/action", "publish"),
        ("components/messages/CustomerTaggedV1/unknown", 1),
        ("info/title", None),
    ],
)
def test_the_independent_model_notices_mistakes(path: str, value: Any) -> None:
    document = deepcopy(DOCUMENT)
    *parents, last = path.split("/")
    node = document
    for each in parents:
        node = node[each]
    node[last] = value
    with pytest.raises(ValidationError):
        AsyncAPI3.model_validate(document)


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 2 * len(MESSAGES)
    assert all(resolve(reference) for reference in found)


def test_every_topic_is_a_channel_with_its_key_partitions_and_policy() -> None:
    channels = {each["address"]: each for each in DOCUMENT["channels"].values()}
    assert set(channels) == {each.topic for each in all_event_types()}
    for topic, channel in channels.items():
        kafka = channel["bindings"]["kafka"]
        assert kafka["topic"] == topic
        assert kafka["partitions"] == Settings.model_fields["kafka_partitions"].default
        policy = "compact" if topic.endswith(".state.v1") else "delete"
        assert kafka["topicConfiguration"]["cleanup.policy"] == [policy]


def test_every_event_is_a_message_on_its_own_topic_and_no_other() -> None:
    on = {
        (channel["address"], resolve(message["$ref"])["name"])
        for channel in DOCUMENT["channels"].values()
        for message in channel["messages"].values()
    }
    published = [*all_event_types(), *map(watermark_type, services())]
    assert on == {(each.topic, each.ce_type) for each in published}


def test_every_topic_is_sent_to_by_one_operation() -> None:
    operations = DOCUMENT["operations"].values()
    assert {resolve(each["channel"]["$ref"])["address"] for each in operations} == {
        each.topic for each in all_event_types()
    }
    assert {each["action"] for each in operations} == {"send"}


def test_the_headers_described_are_exactly_those_of_the_envelope() -> None:
    envelope = resolve("#/components/schemas/Envelope")
    assert sorted(envelope["properties"]) == sorted(HEADER_NAMES)
    assert sorted(envelope["required"]) == sorted(HEADER_NAMES)
    watermark = resolve("#/components/schemas/WatermarkEnvelope")
    assert sorted(watermark["properties"]) == sorted(WATERMARK_HEADER_NAMES)
    assert sorted(watermark["required"]) == sorted(WATERMARK_HEADER_NAMES)


@each_message
def test_the_examples_are_valid_by_the_schemas_beside_them(message: dict[str, Any]) -> None:
    jsonschema_rs.meta.validate(message["payload"])
    for example in message["examples"]:
        jsonschema_rs.validate(message["payload"], example["payload"], validate_formats=True)
        jsonschema_rs.validate(resolve(message["headers"]["$ref"]), example["headers"], validate_formats=True)


def test_there_is_one_example_per_event_and_it_is_what_would_be_sent() -> None:
    assert sorted(event_type_of(type(each)).ce_type for each in examples()) == [
        each.ce_type for each in all_event_types()
    ]
    for example in examples():
        event_type, record = event_type_of(type(example)), example_record(example)
        payload = json.loads(record.value or b"")
        jsonschema_rs.validate(schema_of(event_type), payload, validate_formats=True)
        shown = next(each for each in MESSAGES.values() if each["name"] == event_type.ce_type)["examples"][0]
        assert shown["payload"] == payload
        assert shown["headers"] == {name: value.decode() for name, value in record.headers}
        assert record.key.decode() == next(payload[name] for name in KEY_FIELDS if name in payload)


def test_the_examples_show_vietnamese_names_and_dong() -> None:
    text = COMMITTED.read_text(encoding="utf-8")
    assert "Nguyễn Thị Minh Khai" in text
    assert "currency: VND" in text
