"""The AsyncAPI 3 description of the public events, generated from the registry: topics, keys, headers, payloads."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from crm_contracts.catalogue import all_event_types, example_of, services
from crm_contracts.registry import PublicEventType
from crm_contracts.tooling.examples import example_record, example_watermark
from crm_contracts.tooling.schemas import schema_of
from crm_contracts.watermark import WATERMARK_HEADER_NAMES, watermark_type

KAFKA_BINDING = "0.5.0"


@dataclass(frozen=True, slots=True)
class Installation:
    """What differs between installations: the partitions of every event topic, and where the broker is."""

    partitions: int = 24
    bootstrap_servers: str = "localhost:9092"
    secure: bool = False


DEFAULTS = Installation()

_text = {"type": "string", "minLength": 1}
_time = {"type": "string", "format": "date-time"}
_number = {"type": "string", "pattern": "^[0-9]{20}$"}

HEADERS: dict[str, dict[str, Any]] = {
    "content-type": {"type": "string", "const": "application/json", "description": "The payload's format"},
    "ce_specversion": {"type": "string", "const": "1.0", "description": "The version of CloudEvents"},
    "ce_id": {
        **{"type": "string", "format": "uuid"},
        "description": "The event's id, the same whenever the same fact is sent again",
    },
    "ce_source": {"type": "string", "format": "uri-reference", "description": "The service, for example /contacts"},
    "ce_type": {
        **{"type": "string", "pattern": r"^crm\.[a-z0-9]+\.[A-Za-z0-9]+\.v[0-9]+$"},
        "description": "The type of event and its major version",
    },
    "ce_subject": {**_text, "description": "The customer id, as recorded; a definition's own id otherwise"},
    "ce_time": {**_time, "description": "When it happened, RFC 3339 in UTC"},
    "ce_recordedtime": {**_time, "description": "When it was stored, RFC 3339 in UTC"},
    "ce_dataschema": {
        **{"type": "string", "format": "uri-reference"},
        "description": "The payload's JSON Schema; every service serves it under this path",
    },
    "ce_partitionkey": {**_text, "description": "The record's key"},
    "ce_sequence": {
        **_number,
        "description": "Position in the service's log: increases within a key, unique per source, can have gaps",
    },
    "ce_streamversion": {**_number, "description": "Version of the aggregate: contiguous per stream of stored events"},
    "ce_correlationid": {**_text, "description": "Names the whole chain that led here"},
    "ce_causationid": {**_text, "description": "Names the step before this one"},
    "ce_actor": {**_text, "description": "Opaque id of who or what caused it; never a name or an address"},
    "traceparent": {
        **{"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
        "description": "W3C trace context",
    },
}


def document(installation: Installation = DEFAULTS) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of an installation. Raises `SchemaError` when a model breaks a rule of the contract."""
    event_types = all_event_types()
    topics = sorted({event_type.topic for event_type in event_types}, key=lambda topic: (_service(topic), topic))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Relata public events",
            "version": "1.0.0",
            "description": (
                "CloudEvents 1.0 in Kafka's binary mode. At least once, in order per key. A subscriber ignores a "
                "`ce_id` it has seen, or any `ce_sequence` at or below the last it applied for that key and source, "
                "and skips unknown fields, unknown types and unknown enumeration values. A state topic's value is as "
                "of its `ce_sequence`: wait for a watermark in every partition of the event topic, then read the state "
                "topic to its end, then follow the event topic from those watermarks. See events.md."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka-secure" if installation.secure else "kafka",
                "description": "The cluster of this installation",
                "variables": {
                    "bootstrap": {
                        "default": installation.bootstrap_servers,
                        "description": "KAFKA_BOOTSTRAP_SERVERS",
                    }
                },
            }
        },
        "channels": {_channel_id(topic): _channel(topic, event_types, installation) for topic in topics},
        "operations": {f"publish_{_channel_id(topic)}": _operation(topic) for topic in topics},
        "components": {
            "schemas": {
                "Envelope": {
                    "title": "Envelope",
                    "description": "The exact set of headers; all are non-null UTF-8.",
                    "type": "object",
                    "properties": HEADERS,
                    "required": list(HEADERS),
                },
                "WatermarkEnvelope": {
                    "title": "WatermarkEnvelope",
                    "description": "The exact set of headers of a watermark, which concerns no customer.",
                    "type": "object",
                    "properties": _watermark_headers(),
                    "required": list(WATERMARK_HEADER_NAMES),
                },
            },
            "messages": {
                **{_message_id(event_type): _message(event_type) for event_type in event_types},
                **{_watermark_id(service): _watermark(service) for service in services()},
            },
        },
    }


def render(described: dict[str, Any]) -> str:
    """A document as YAML."""
    # JSON first: it turns shared objects into copies, which YAML would else write as anchors.
    plain = json.loads(json.dumps(described))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
    return text


def _service(topic: str) -> str:
    return topic.split(".")[1]


def _channel_id(topic: str) -> str:
    _, service, kind, _ = topic.split(".")
    return f"{service}{kind.capitalize()}"


def _message_id(event_type: PublicEventType) -> str:
    return f"{event_type.name}V{event_type.major}"


def _channel(topic: str, event_types: list[PublicEventType], installation: Installation) -> dict[str, Any]:
    compacted = topic.split(".")[2] == "state"
    description = (
        "The current public state per customer, as of the record's `ce_sequence`; a null value when erased."
        if compacted
        else f"Every public event of {_service(topic)}, in log order per key."
    )
    messages = [_message_id(event_type) for event_type in event_types if event_type.topic == topic]
    if not compacted:
        messages.append(_watermark_id(_service(topic)))
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic,
                "partitions": installation.partitions,
                "topicConfiguration": {"cleanup.policy": ["compact" if compacted else "delete"]},
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operation(topic: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_channel_id(topic)}"},
        "summary": f"Relata sends to {topic}; subscribers receive from it.",
    }


def _watermark_id(service: str) -> str:
    return f"{service.capitalize()}WatermarkV1"


def _watermark_headers() -> dict[str, Any]:
    own_headers = {
        "ce_time": {**_time, "description": "When it was sent, RFC 3339 in UTC"},
        "ce_sequence": {**_number, "description": "The payload's `sequence`"},
    }
    return {name: own_headers.get(name, HEADERS[name]) for name in WATERMARK_HEADER_NAMES}


def _watermark(service: str) -> dict[str, Any]:
    kind = watermark_type(service)
    schema = schema_of(kind)
    value, headers = example_watermark(service)
    by_name = {name: text.decode() for name, text in headers}
    return {
        "name": kind.ce_type,
        "title": kind.name,
        "summary": f"{schema['description']} It has no key, and is sent to every partition.",
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/WatermarkEnvelope"},
        "payload": _payload(schema),
        "examples": [
            {
                "name": kind.name,
                "headers": {name: by_name[name] for name in WATERMARK_HEADER_NAMES},
                "payload": json.loads(value),
            }
        ],
        "x-dataschema": kind.schema_path,
    }


def _payload(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id", "x-topic")}


def _message(event_type: PublicEventType) -> dict[str, Any]:
    schema = schema_of(event_type)
    example = example_of(event_type)
    record = example_record(example)
    by_name = {name: value.decode() for name, value in record.headers}
    return {
        "name": event_type.ce_type,
        "title": event_type.name,
        "summary": schema["description"],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "payload": _payload(schema),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": _key_description(schema)},
                "bindingVersion": KAFKA_BINDING,
            }
        },
        "examples": [
            {
                "name": event_type.name,
                "headers": {name: by_name[name] for name in HEADERS},
                "payload": json.loads(record.value or b"null"),
            }
        ],
        "x-dataschema": event_type.schema_path,
    }


def _key_description(schema: dict[str, Any]) -> str:
    return "The customer id" if "customer_id" in schema["properties"] else "The definition's own id"
