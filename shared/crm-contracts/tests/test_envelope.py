"""The envelope on the wire: the exact headers, the way there and back, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_contracts.catalogue import examples
from crm_contracts.envelope import (
    HEADER_NAMES,
    MAX_RECORD_BYTES,
    EnvelopeError,
    PublicEvent,
    Record,
    decode,
    decode_known,
    encode,
    rfc3339,
    split_type,
    type_of,
)
from crm_contracts.events.contacts import CustomerIdentified, CustomerState, CustomerTagged, Profile
from crm_contracts.registry import EventData, event_type_of
from crm_contracts.tooling.examples import example_record

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
CUSTOMER_ID = UUID(CUSTOMER)
HANOI = timezone(timedelta(hours=7))
CONTEXT = {
    "command_id": "c0",
    "correlation_id": "c1",
    "causation_id": "c2",
    "actor": "nhân-viên-7",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@dataclass(frozen=True)
class Fact:
    """A stored event, as far as the envelope looks at it."""

    originator_id: UUID = CUSTOMER_ID
    originator_version: int = 7
    timestamp: datetime = datetime(2026, 1, 14, 9, 30, 1, 500_000, tzinfo=HANOI)
    occurred_at: datetime = datetime(1997, 1, 18, tzinfo=UTC)
    context: dict[str, str] = field(default_factory=lambda: dict(CONTEXT))


def tagged(tag: str = "khách quen") -> CustomerTagged:
    return CustomerTagged(customer_id=CUSTOMER, tag=tag)


def a_record() -> Record:
    return encode(Fact(), 1234, CUSTOMER, tagged())


def read(record: Record) -> PublicEvent:
    return decode(record.key, record.value, record.headers)


def test_the_headers_are_exactly_those_of_the_contract() -> None:
    headers = dict(a_record().headers)
    assert headers == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": headers["ce_id"],
        "ce_source": b"/contacts",
        "ce_type": b"crm.contacts.CustomerTagged.v1",
        "ce_subject": CUSTOMER.encode(),
        "ce_time": b"1997-01-18T00:00:00Z",
        "ce_recordedtime": b"2026-01-14T02:30:01.500000Z",
        "ce_dataschema": b"/schemas/contacts/CustomerTagged/1.0.json",
        "ce_partitionkey": CUSTOMER.encode(),
        "ce_sequence": b"00000000000000001234",
        "ce_streamversion": b"00000000000000000007",
        "ce_correlationid": b"c1",
        "ce_causationid": b"c2",
        "ce_actor": "nhân-viên-7".encode(),
        "traceparent": CONTEXT["traceparent"].encode(),
    }
    assert UUID(headers["ce_id"].decode()).version == 5


@pytest.mark.parametrize("example", examples(), ids=lambda each: type(each).__name__)
def test_every_event_has_each_header_once_non_null_and_in_utf_8(example: EventData) -> None:
    record = example_record(example)
    assert sorted(name for name, _ in record.headers) == sorted(HEADER_NAMES)
    assert all(value.decode() for _, value in record.headers)
    assert record.topic == event_type_of(type(example)).topic


@pytest.mark.parametrize("example", examples(), ids=lambda each: type(each).__name__)
def test_what_is_encoded_is_decoded_as_it_was(example: EventData) -> None:
    event = read(example_record(example, position=42))
    event_type = event_type_of(type(example))
    assert type(example).model_validate(event.data) == example
    assert (event.service, event.name) == (event_type.service, event_type.name)
    assert (event.major, event.sequence, event.stream_version) == (1, 42, 7)


def test_a_decoded_event_tells_when_what_and_who() -> None:
    event = read(a_record())
    assert event.occurred_at == datetime(1997, 1, 18, tzinfo=UTC)
    assert event.recorded_at == Fact().timestamp
    assert (event.key, event.subject) == (CUSTOMER, CUSTOMER)
    assert (event.correlation_id, event.causation_id, event.actor) == ("c1", "c2", "nhân-viên-7")
    assert event.data == {"customer_id": CUSTOMER, "tag": "khách quen"}


@settings(deadline=None, max_examples=100)
@given(
    tag=st.text(),
    attributes=st.dictionaries(st.text(), st.text() | st.booleans() | st.integers(-(2**53), 2**53), max_size=5),
    position=st.integers(0, 2**63 - 1),
    version=st.integers(0, 2**63 - 1),
    occurred_at=st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001
    actor=st.text(min_size=1),
)
def test_any_text_number_and_time_survive_the_way_there_and_back(
    tag: str, attributes: dict[str, Any], position: int, version: int, occurred_at: datetime, actor: str
) -> None:
    # given a payload of any text, of any time
    profile = Profile(name=tag)
    data = CustomerIdentified(
        customer_id=CUSTOMER, source=tag, identifiers=[], profile=profile, tags=[tag], attributes=attributes
    )
    fact = Fact(originator_version=version, occurred_at=occurred_at, context={**CONTEXT, "actor": actor})
    # when it is sent and read
    event = read(encode(fact, position, CUSTOMER, data))
    # then nothing is lost
    assert CustomerIdentified.model_validate(event.data) == data
    assert (event.sequence, event.stream_version, event.actor) == (position, version, actor)
    # in UTC, because Python never finds an hour that a zone repeats equal to a time of another zone
    assert event.occurred_at == occurred_at.astimezone(UTC)


@given(pair=st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)))
def test_sequences_sort_as_text_as_they_do_as_numbers(pair: tuple[int, int]) -> None:
    texts = [dict(encode(Fact(), position, CUSTOMER, tagged()).headers)["ce_sequence"] for position in pair]
    assert (texts[0] < texts[1]) == (pair[0] < pair[1])


def test_the_same_fact_has_the_same_bytes_whenever_it_is_sent() -> None:
    assert a_record() == a_record()


def test_different_facts_have_different_ids_and_a_state_has_its_own() -> None:
    def id_of(fact: Fact, data: EventData) -> bytes:
        return dict(encode(fact, 1, CUSTOMER, data).headers)["ce_id"]

    state = CustomerState(customer_id=CUSTOMER, identifiers=[], profile=Profile(), tags=[])
    ids = {
        id_of(Fact(), tagged()),
        id_of(Fact(originator_version=8), tagged()),
        id_of(Fact(originator_id=UUID(int=1)), tagged()),
        id_of(Fact(), state),
    }
    assert len(ids) == 4


def test_a_record_of_64_kib_passes_and_one_byte_more_does_not() -> None:
    # given a payload that fills the record exactly
    empty = encode(Fact(), 1, CUSTOMER, tagged(""))
    size = len(empty.key) + len(empty.value or b"") + sum(len(name) + len(value) for name, value in empty.headers)
    room = MAX_RECORD_BYTES - size
    # then it passes
    assert encode(Fact(), 1, CUSTOMER, tagged("x" * room)).value is not None
    # and one more byte does not, nor does a letter of two bytes in the place of one
    for tag in ("x" * (room + 1), "x" * (room - 1) + "ễ"):
        with pytest.raises(EnvelopeError, match="the contract allows 65536"):
            encode(Fact(), 1, CUSTOMER, tagged(tag))


def test_only_registered_payloads_are_sent() -> None:
    class Unregistered(EventData):
        """Not an event."""

    with pytest.raises(KeyError):
        encode(Fact(), 1, CUSTOMER, Unregistered())


def test_a_time_without_a_zone_is_not_sent() -> None:
    with pytest.raises(ValueError, match="a time needs a zone"):
        rfc3339(datetime(2026, 1, 14))  # noqa: DTZ001


Change = Callable[[dict[str, Any]], object]


def refused(change: Change) -> str:
    """The reason why a record is refused after a change to its headers, `key` or `value`."""
    record = a_record()
    parts: dict[str, Any] = {**dict(record.headers), "key": record.key, "value": record.value}
    change(parts)
    key, value = parts.pop("key"), parts.pop("value")
    with pytest.raises(EnvelopeError) as caught:
        decode(key, value, list(parts.items()))
    return str(caught.value)


@pytest.mark.parametrize("name", HEADER_NAMES)
def test_a_record_that_lacks_a_header_is_refused_and_the_header_named(name: str) -> None:
    assert refused(lambda parts: parts.pop(name)) == f"the record lacks the headers {name}"


@pytest.mark.parametrize("name", HEADER_NAMES)
@pytest.mark.parametrize("value", [None, b"\xff\xfe"])
def test_a_header_that_is_null_or_not_utf_8_is_refused(name: str, value: bytes | None) -> None:
    assert "cannot be read" in refused(lambda parts: parts.update({name: value}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": None}, "no key or no value"),
        ({"key": b""}, "no key or no value"),
        ({"key": b"\xff"}, "cannot be read"),
        ({"value": None}, "no key or no value"),
        ({"value": b""}, "no key or no value"),
        ({"value": b"{"}, "cannot be read"),
        ({"value": b"\xff"}, "cannot be read"),
        ({"value": b"[1]"}, "not a JSON object"),
        ({"value": b"null"}, "not a JSON object"),
        ({"value": b'"text"'}, "not a JSON object"),
        ({"value": b'{"a": NaN}'}, "cannot be read"),
        ({"value": b'{"a":' * 10_000 + b"1" + b"}" * 10_000}, "cannot be read"),
        ({"ce_specversion": b"0.3"}, "in version 0.3"),
        ({"ce_source": b"/interactions"}, "from /interactions"),
        ({"ce_type": b"com.example.Other"}, "does not name a Relata event"),
        ({"ce_type": b"crm.contacts.CustomerTagged"}, "does not name a Relata event"),
        ({"ce_type": b"crm.contacts.CustomerTagged.v"}, "does not name a Relata event"),
        ({"ce_type": "crm.contacts.CustomerTagged.v²".encode()}, "does not name a Relata event"),
        ({"ce_type": b"crm.contacts.CustomerTagged.v1\n"}, "does not name a Relata event"),
        ({"ce_type": b"crm.contacts.CustomerTagged.v" + b"9" * 5_000}, "does not name a Relata event"),
        ({"ce_time": b"yesterday"}, "cannot be read"),
        ({"ce_time": b""}, "cannot be read"),
        ({"ce_time": b"2026-01-14T00:00:00"}, "has no zone"),
        ({"ce_recordedtime": b"2026-01-14"}, "has no zone"),
        ({"ce_sequence": b"1234"}, "is not a position"),
        ({"ce_sequence": b"-0000000000000001234"}, "is not a position"),
        ({"ce_sequence": b"0000000000000000_123"}, "is not a position"),
        ({"ce_sequence": b"99999999999999999999"}, "is not a position"),
        ({"ce_sequence": "٠".encode() * 20}, "is not a position"),
        ({"ce_streamversion": b" 0000000000000000007"}, "is not a position"),
    ],
)
def test_a_malformed_record_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    assert reason in refused(lambda parts: parts.update(change))


@given(key=st.binary() | st.none(), value=st.binary() | st.none(), data=st.data())
def test_no_bytes_whatever_raise_anything_else(key: bytes | None, value: bytes | None, data: st.DataObject) -> None:
    # given a record of which any part may be noise
    headers = [(name, data.draw(st.just(good) | st.binary())) for name, good in a_record().headers]
    try:
        decode(key, value, headers)
    except EnvelopeError:
        pass


def test_a_tombstone_can_be_sent_and_is_not_taken_for_an_event() -> None:
    # given a state record whose customer was erased
    data = CustomerState(customer_id=CUSTOMER, identifiers=[], profile=Profile(), tags=[])
    erased = encode(Fact(), 1, CUSTOMER, data)._replace(value=None)
    assert erased.topic == "crm.contacts.state.v1"
    # then its type can be told without a payload, and decoding refuses it
    assert type_of(erased.headers) == "crm.contacts.CustomerState.v1"
    with pytest.raises(EnvelopeError, match="no value"):
        read(erased)


@pytest.mark.parametrize("noise", [b"", b"x", b"\xff\xfe", None])
def test_unknown_headers_are_ignored_whatever_they_hold(noise: bytes | None) -> None:
    record = a_record()
    unknown: Any = [("ce_deprecated", noise), ("x", noise)]
    assert decode(record.key, record.value, [*unknown, *record.headers, *unknown]) == read(record)


def test_unknown_payload_fields_reach_nobody() -> None:
    record = a_record()
    value = (record.value or b"").replace(b"{", b'{"new_field": [1], ', 1)
    event = decode(record.key, value, record.headers)
    assert CustomerTagged.model_validate(event.data) == tagged()


def test_the_type_of_a_record_without_one_is_none() -> None:
    null: Any = [("ce_type", None)]
    assert type_of([]) is None
    assert type_of([("x", b"y")]) is None
    assert type_of(null) is None
    assert type_of([("ce_type", b"\xff")]) == "\ufffd"


def test_a_type_is_split_into_service_name_and_major_version() -> None:
    assert split_type("crm.contacts.CustomerIdentified.v12") == ("contacts", "CustomerIdentified", 12)
    with pytest.raises(EnvelopeError):
        split_type("crm.contacts.CustomerIdentified.12")


def test_a_type_that_is_not_known_here_is_skipped_and_a_known_one_is_decoded() -> None:
    record = a_record()
    assert decode_known(record.key, record.value, record.headers) == read(record)
    for unknown in (b"crm.contacts.Unheard.v1", b"crm.contacts.CustomerTagged.v2", b"crm.elsewhere.CustomerTagged.v1"):
        headers = [(name, unknown if name == "ce_type" else value) for name, value in record.headers]
        assert decode_known(record.key, record.value, headers) is None


@pytest.mark.parametrize("ce_type", [None, b"", b"com.example.tagged", "crm.contacts.Tạm.v1".encode()])
def test_what_is_no_type_of_ours_is_refused_and_not_skipped(ce_type: bytes | None) -> None:
    record = a_record()
    headers = [(name, value) for name, value in record.headers if name != "ce_type"]
    with pytest.raises(EnvelopeError):
        decode_known(record.key, record.value, [*headers, *([("ce_type", ce_type)] if ce_type is not None else [])])
