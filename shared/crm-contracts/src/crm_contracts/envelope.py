"""The envelope: CloudEvents 1.0 in Kafka's binary mode, written and read without any other library."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

import orjson

from crm_contracts.catalogue import event_type_named
from crm_contracts.ids import derived_id_text
from crm_contracts.registry import EventData, event_type_of

Headers = Sequence[tuple[str, bytes]]

HEADER_NAMES = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "ce_recordedtime",
    "ce_dataschema",
    "ce_partitionkey",
    "ce_sequence",
    "ce_streamversion",
    "ce_correlationid",
    "ce_causationid",
    "ce_actor",
    "traceparent",
)
MAX_RECORD_BYTES = 64 * 1024
SEQUENCE_DIGITS = 20
_LAST_POSITION = f"{2**63 - 1:0{SEQUENCE_DIGITS}}"
_REQUIRED = frozenset(HEADER_NAMES)
_NAMES_BYTES = sum(map(len, HEADER_NAMES))
_TYPE = re.compile(r"crm\.([a-z0-9]+)\.([A-Za-z0-9]+)\.v([0-9]{1,9})")


class EnvelopeError(ValueError):
    """A record does not follow the contract."""


class StoredFact(Protocol):
    """What a stored domain event tells the envelope."""

    @property
    def originator_id(self) -> UUID: ...
    @property
    def originator_version(self) -> int: ...
    @property
    def timestamp(self) -> datetime: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def context(self) -> dict[str, str]: ...


class Record(NamedTuple):
    """One Kafka record to send; a null value is a tombstone on a state topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class PublicEvent:
    """A public event as a subscriber sees it.

    `service` is the source without its slash, `name` and `major` the type's parts, `key` the record's key,
    `sequence` the position in the source's log. `occurred_at` is `ce_time`.
    """

    id: str
    service: str
    name: str
    major: int
    key: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    sequence: int
    stream_version: int
    correlation_id: str
    causation_id: str
    actor: str
    traceparent: str
    data: dict[str, Any]

    _latest: ClassVar["tuple[PublicEvent, EventData] | None"] = None

    @property
    def payload(self) -> EventData:
        """The payload as its model: what a fold matches on. Validated when it is asked for.

        Raises `EnvelopeError` for a type that this version of the contract does not know, and pydantic's
        `ValidationError` for data that its model does not take.
        """
        # Only the last one is kept: a batch that held the models of all its events would be twice as slow to fold.
        latest = PublicEvent._latest
        if latest is not None and latest[0] is self:
            return latest[1]
        model = _model_of(self.service, self.name, self.major)
        if model is None:
            raise EnvelopeError(f"{self.name}.v{self.major} of {self.service} is not known here")
        payload = model.model_validate(self.data)
        PublicEvent._latest = (self, payload)
        return payload


@lru_cache(maxsize=256)
def _model_of(service: str, name: str, major: int) -> type[EventData] | None:
    event_type = event_type_named(f"crm.{service}.{name}.v{major}")
    return event_type.model if event_type else None


def rfc3339(moment: datetime) -> str:
    """The moment in UTC, for example `1997-01-18T00:00:00Z`; raises ValueError without a zone."""
    return _rfc3339(moment).decode()


def _rfc3339(moment: datetime) -> bytes:
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError("a time needs a zone")
        moment = moment.astimezone(UTC)
    # As from `isoformat`, which takes four times as long.
    return orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1]


class _Common(NamedTuple):
    """What all records of one payload model have in common; `kind` tells the id of a state from its event's."""

    topic: str
    service: str
    kind: tuple[str, ...]
    headers: tuple[tuple[str, bytes], ...]


@lru_cache(maxsize=256)
def _common(model: type[EventData]) -> _Common:
    event_type = event_type_of(model)
    headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/{event_type.service}".encode()),
        ("ce_type", event_type.ce_type.encode()),
        ("ce_dataschema", event_type.schema_path.encode()),
    )
    return _Common(event_type.topic, event_type.service, ("state",) if event_type.state else (), headers)


def encode(fact: StoredFact, position: int, key: str, data: EventData) -> Record:
    """The Kafka record for one public event: the same bytes whenever the same fact is sent again.

    Raises `EnvelopeError` when the record would be larger than 64 KiB.
    """
    topic, service, kind, common_headers = _common(type(data))
    context = fact.context
    key_bytes = key.encode()
    value = data.__pydantic_serializer__.to_json(data)
    event_id = derived_id_text(service, str(fact.originator_id), str(fact.originator_version), *kind)
    headers = [
        *common_headers,
        ("ce_id", event_id.encode()),
        ("ce_subject", key_bytes),
        ("ce_time", _rfc3339(fact.occurred_at)),
        ("ce_recordedtime", _rfc3339(fact.timestamp)),
        ("ce_partitionkey", key_bytes),
        ("ce_sequence", b"%020d" % position),
        ("ce_streamversion", b"%020d" % fact.originator_version),
        ("ce_correlationid", context["correlation_id"].encode()),
        ("ce_causationid", context["causation_id"].encode()),
        ("ce_actor", context["actor"].encode()),
        ("traceparent", context["traceparent"].encode()),
    ]
    size = len(value) + len(key_bytes) + _NAMES_BYTES + sum([len(text) for _, text in headers])
    if size > MAX_RECORD_BYTES:
        raise EnvelopeError(f"the event would be {size} bytes; the contract allows {MAX_RECORD_BYTES}")
    return Record(topic, key_bytes, value, headers)


def type_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """The CloudEvents type of a record, or None when it carries none: enough to skip what is not of interest."""
    for name, value in headers:
        if name == "ce_type" and value is not None:
            return value.decode("utf-8", "replace")
    return None


def place_of(headers: Iterable[tuple[str, bytes]]) -> tuple[str, int] | None:
    """(service, log position) of a record, or None when it carries none: for records that are skipped unread."""
    named = {name: value for name, value in headers if name in ("ce_source", "ce_sequence")}
    try:
        return named["ce_source"].decode().removeprefix("/"), _position(named["ce_sequence"].decode())
    except (KeyError, AttributeError, ValueError):  # missing, null, or malformed
        return None


@lru_cache(maxsize=256)
def split_type(ce_type: str) -> tuple[str, str, int]:
    """(service, event name, major version) of `crm.<service>.<Name>.v<major>`; raises `EnvelopeError`."""
    parts = _TYPE.fullmatch(ce_type)
    if parts is None:
        raise EnvelopeError(f"ce_type {ce_type!r} does not name a Relata event")
    return parts[1], parts[2], int(parts[3])


def decode(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> PublicEvent:
    """The public event in a record. Unknown headers are ignored, whatever they hold.

    Raises `EnvelopeError` when the key, a header of the contract or the JSON object is missing or malformed; also
    for a tombstone, which has no payload: look for a null or empty value first where the topic is a state topic.
    """
    try:
        named = {name: text.decode() for name, text in headers if name in _REQUIRED}
        if len(named) < len(_REQUIRED):
            missing = [name for name in HEADER_NAMES if name not in named]
            raise EnvelopeError(f"the record lacks the headers {', '.join(missing)}")
        service, name, major = split_type(named["ce_type"])
        if named["ce_specversion"] != "1.0" or named["ce_source"] != f"/{service}":
            raise EnvelopeError(f"{named['ce_type']} in version {named['ce_specversion']} from {named['ce_source']}")
        if not key or not value:
            raise EnvelopeError("the record has no key or no value")
        data = orjson.loads(value)
        if type(data) is not dict:
            raise EnvelopeError("the payload is not a JSON object")
        event = object.__new__(PublicEvent)
        # At once: a frozen dataclass's own constructor sets one field after the other, a tenth of all reading.
        fields = {
            "id": named["ce_id"],
            "service": service,
            "name": name,
            "major": major,
            "key": key.decode(),
            "subject": named["ce_subject"],
            "occurred_at": _moment(named["ce_time"]),
            "recorded_at": _moment(named["ce_recordedtime"]),
            "sequence": _position(named["ce_sequence"]),
            "stream_version": _position(named["ce_streamversion"]),
            "correlation_id": named["ce_correlationid"],
            "causation_id": named["ce_causationid"],
            "actor": named["ce_actor"],
            "traceparent": named["traceparent"],
            "data": data,
        }
        object.__setattr__(event, "__dict__", fields)
        return event
    except EnvelopeError:
        raise
    except (ValueError, AttributeError) as error:  # not UTF-8, not JSON, not a time; or a null header
        raise EnvelopeError(f"the record cannot be read: {error}") from error


def decode_known(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> PublicEvent | None:
    """The public event in a record, or None for what a subscriber skips: watermarks, and types not known here.

    Raises `EnvelopeError` as `decode` does.
    """
    ce_type = type_of(headers)
    if ce_type is not None:
        split_type(ce_type)  # what is no type at all is malformed, not merely unknown
        if event_type_named(ce_type) is None:
            return None
    return decode(key, value, headers)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise EnvelopeError(f"the time {text!r} has no zone")
    return moment


def _position(text: str) -> int:
    if len(text) != SEQUENCE_DIGITS or not (text.isascii() and text.isdigit()) or text > _LAST_POSITION:
        raise EnvelopeError(f"{text!r} is not a position: {SEQUENCE_DIGITS} digits, below 2^63")
    return int(text)
