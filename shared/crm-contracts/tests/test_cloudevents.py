"""Our envelope and the `cloudevents` package read each other's records."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

from crm_contracts.catalogue import examples
from crm_contracts.envelope import HEADER_NAMES, Record, decode
from crm_contracts.registry import EventData
from crm_contracts.tooling.examples import example_record

EXTENSIONS = (
    *("recordedtime", "partitionkey", "sequence", "streamversion", "correlationid", "causationid", "actor"),
    "dataschema",
)
each_example = pytest.mark.parametrize("example", examples(), ids=lambda each: type(each).__name__)


def message(record: Record) -> KafkaMessage:
    return KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value or b"")


@each_example
def test_the_cloudevents_package_reads_what_we_write(example: EventData) -> None:
    # given one of our records
    record = example_record(example)
    headers = {name: value.decode() for name, value in record.headers}
    # when the package reads it
    event = from_binary_event(message(record))
    # then it is a valid CloudEvent with our attributes and our payload
    assert event.get_specversion() == "1.0"
    assert event.get_id() == headers["ce_id"]
    assert event.get_source() == headers["ce_source"]
    assert event.get_type() == headers["ce_type"]
    assert event.get_subject() == headers["ce_subject"]
    assert event.get_time() == datetime(2026, 1, 14, 2, 30, tzinfo=UTC)
    assert event.get_datacontenttype() == "application/json"
    attributes = event.get_attributes()
    assert {name: attributes[name] for name in EXTENSIONS} == {name: headers[f"ce_{name}"] for name in EXTENSIONS}
    data: Any = event.get_data()
    assert type(example).model_validate(data) == example


@each_example
def test_we_read_what_the_cloudevents_package_writes(example: EventData) -> None:
    # given an event that the package made of the same attributes
    ours = example_record(example)
    expected = decode(ours.key, ours.value, ours.headers)
    headers = {name: value.decode() for name, value in ours.headers}
    attributes: dict[str, Any] = {
        name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")
    }
    attributes |= {"time": expected.occurred_at, "datacontenttype": "application/json"}
    written = to_binary_event(CloudEvent(attributes, expected.data))
    # when we read it; `traceparent` is a header beside CloudEvents, which the package does not know
    assert written.key == headers["ce_partitionkey"]
    theirs = [*written.headers.items(), ("traceparent", headers["traceparent"].encode())]
    assert {name for name, _ in theirs} == set(HEADER_NAMES)
    # then it is the same event
    assert decode(str(written.key).encode(), written.value, theirs) == expected


@each_example
def test_a_record_survives_the_cloudevents_package_unchanged(example: EventData) -> None:
    record = example_record(example)
    again = to_binary_event(from_binary_event(message(record)))
    headers = [*again.headers.items(), ("traceparent", dict(record.headers)["traceparent"])]
    assert sorted(headers) == sorted(record.headers)
    assert decode(record.key, again.value, headers) == decode(record.key, record.value, record.headers)
