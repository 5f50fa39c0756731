"""The public event contract: what other systems build on."""

from crm_contracts.catalogue import all_event_types, event_type_named, services
from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import (
    EnvelopeError,
    Headers,
    PublicEvent,
    Record,
    decode,
    decode_known,
    encode,
    place_of,
    rfc3339,
    type_of,
)
from crm_contracts.ids import derived_id
from crm_contracts.registry import EventData, PublicEventType, event_type_of, events_topic, public_event, state_topic
from crm_contracts.schemas import schema_text
from crm_contracts.watermark import Watermark, encode_watermark, read_watermark

__all__ = [
    "EnvelopeError",
    "EventData",
    "Headers",
    "PublicEvent",
    "PublicEventType",
    "Record",
    "Watermark",
    "all_event_types",
    "apply_changes",
    "decode",
    "decode_known",
    "derived_id",
    "encode",
    "encode_watermark",
    "event_type_named",
    "event_type_of",
    "events_topic",
    "known_values",
    "place_of",
    "public_event",
    "read_watermark",
    "rfc3339",
    "schema_text",
    "services",
    "state_topic",
    "type_of",
]
