"""Watermarks on the wire: the exact headers, the way there and back, and what other readers make of them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import jsonschema_rs
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.catalogue import examples, services
from crm_contracts.envelope import EnvelopeError, Headers, decode, decode_known, place_of, type_of
from crm_contracts.registry import EventData
from crm_contracts.schemas import schema_text
from crm_contracts.tooling.examples import example_record
from crm_contracts.watermark import WATERMARK_HEADER_NAMES, Watermark, encode_watermark, read_watermark

UNTIL = datetime(2026, 1, 14, 2, 30, tzinfo=UTC)
AT = UNTIL + timedelta(seconds=1.5)
each_service = pytest.mark.parametrize("service", services())


def a_watermark(service: str = "contacts", partition: int = 3, sequence: int = 1234) -> tuple[bytes, Headers]:
    return encode_watermark(service, partition, sequence, UNTIL, AT)


def test_the_headers_are_exactly_those_of_a_watermark() -> None:
    value, headers = a_watermark()
    named = dict(headers)
    assert json.loads(value) == {"sequence": 1234, "recorded_until": "2026-01-14T02:30:00Z"}
    assert named == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": named["ce_id"],
        "ce_source": b"/contacts",
        "ce_type": b"crm.contacts.Watermark.v1",
        "ce_time": b"2026-01-14T02:30:01.500000Z",
        "ce_dataschema": b"/schemas/contacts/Watermark/1.0.json",
        "ce_sequence": b"00000000000000001234",
    }
    assert sorted(named) == sorted(WATERMARK_HEADER_NAMES)
    assert UUID(named["ce_id"].decode()).version == 5


@given(
    sequence=st.integers(0, 2**53 - 1),
    until=st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001
)
def test_what_is_encoded_is_read_as_it_was(sequence: int, until: datetime) -> None:
    value, headers = encode_watermark("feedback", 0, sequence, until, AT)
    assert read_watermark(headers, value) == Watermark("feedback", sequence, until.astimezone(UTC))


def test_the_same_watermark_has_the_same_bytes_and_any_other_has_another_id() -> None:
    assert a_watermark() == a_watermark()
    later = AT + timedelta(seconds=1)
    all_different = [
        a_watermark(),
        a_watermark("feedback"),
        a_watermark(partition=4),
        a_watermark(sequence=1235),
        encode_watermark("contacts", 3, 1234, later, AT),
        encode_watermark("contacts", 3, 1234, UNTIL, later),
    ]
    assert len({dict(headers)["ce_id"] for _, headers in all_different}) == len(all_different)


def test_times_are_sent_in_utc_and_need_a_zone() -> None:
    hanoi = timezone(timedelta(hours=7))
    assert encode_watermark("contacts", 3, 1234, UNTIL.astimezone(hanoi), AT.astimezone(hanoi)) == a_watermark()
    with pytest.raises(ValueError, match="a time needs a zone"):
        encode_watermark("contacts", 3, 1234, UNTIL.replace(tzinfo=None), AT)


@pytest.mark.parametrize("example", examples(), ids=lambda each: type(each).__name__)
def test_no_event_about_a_customer_is_taken_for_a_watermark(example: EventData) -> None:
    record = example_record(example)
    assert read_watermark(record.headers, record.value) is None


@pytest.mark.parametrize(
    "headers", [[], [("ce_type", b"crm.contacts.Watermark.v2")], [("ce_type", b"crm.contacts.MyWatermark.v1")]]
)
def test_other_records_are_none(headers: Headers) -> None:
    assert read_watermark(headers, b"{}") is None


@pytest.mark.parametrize(
    "value", [None, b"", b"[]", b"{", b'{"sequence":-1,"recorded_until":"2026-01-14T02:30:00Z"}', b'{"sequence":1}']
)
def test_a_malformed_watermark_is_refused(value: bytes | None) -> None:
    with pytest.raises(EnvelopeError, match="the watermark cannot be read"):
        read_watermark(a_watermark()[1], value)


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    value, headers = a_watermark()
    assert read_watermark(headers, value[:-1] + b',"more":1}') == Watermark("contacts", 1234, UNTIL)


@each_service
def test_a_subscriber_that_knows_only_events_skips_watermarks(service: str) -> None:
    value, headers = a_watermark(service)
    assert decode_known(None, value, headers) is None
    assert type_of(headers) == f"crm.{service}.Watermark.v1"
    assert place_of(headers) == (service, 1234)
    with pytest.raises(EnvelopeError, match="lacks the headers"):
        decode(None, value, headers)


@each_service
def test_every_service_that_publishes_serves_the_schema(service: str) -> None:
    value, headers = a_watermark(service)
    path = dict(headers)["ce_dataschema"].decode()
    schema = schema_text(service, "Watermark", "1.0")
    assert schema is not None
    assert json.loads(schema)["$id"] == path
    jsonschema_rs.validate(json.loads(schema), json.loads(value), validate_formats=True)


def test_the_cloudevents_package_reads_a_watermark() -> None:
    value, headers = a_watermark()
    event = from_binary_event(KafkaMessage(headers=dict(headers), key=None, value=value))
    assert (event.get_type(), event.get_source()) == ("crm.contacts.Watermark.v1", "/contacts")
    assert event.get_time() == AT
    assert event.get_data() == json.loads(value)
