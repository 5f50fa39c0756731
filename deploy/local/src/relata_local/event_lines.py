"""One public event in one line for people."""

from collections.abc import Mapping
from typing import Any

from relata_local.plain import printable
from relata_local.tail import PassedEvent


def one_line(event: PassedEvent) -> str:
    """An event for people: its time, source, type and subject, and what matters in it."""
    when = event.headers.get("ce_time", "")[:19].replace("T", " ")
    subject = event.headers.get("ce_subject", "")[:8]
    source = f"{event.source}:{event.position}"
    return printable(f"{when}  {source:<20} {event.type:<24} {subject:<8}  {gist(event)}".rstrip())


def gist(event: PassedEvent) -> str:
    """What matters in an event, in a few words; empty for a type that is not known here."""
    data = event.data
    match event.type:
        case "CustomerIdentified":
            return "known as " + " ".join(_identifier(identifier) for identifier in data.get("identifiers", []))
        case "IdentityLinked":
            return "also " + _identifier(data.get("identifier", {}))
        case "CustomerDetailsChanged" | "PreferencesChanged":
            return "changed " + " ".join(data.get("changed", []))
        case "CustomerTagged":
            return f"+#{data.get('tag')}"
        case "CustomerUntagged":
            return f"-#{data.get('tag')}"
        case "InteractionLogged":
            return f"{data.get('direction')} by {data.get('channel')}: {data.get('subject') or ''}".rstrip(": ")
        case "PurchaseRecorded":
            total = data.get("total", {})
            return f"{total.get('amount')} {total.get('currency')}, order {data.get('order_id')}"
        case "CustomerEnteredSegment":
            return f"into {data.get('segment_key')} because {_values(data)}"
        case "CustomerLeftSegment":
            return f"out of {data.get('segment_key')} because {_values(data)}"
        case "SegmentDefined" | "SegmentRetired" | "SurveyPublished":
            return f"{data.get('key')}" + (f", version {data['version']}" if "version" in data else "")
        case "SurveyAnswered":
            return f"{data.get('survey_key')}: " + " ".join(_answer(answer) for answer in data.get("answers", []))
        case "Watermark":
            return f"all up to {data.get('sequence')}, and all recorded before {data.get('recorded_until')}, is out"
        case _:
            return ""


def _identifier(identifier: Mapping[str, Any]) -> str:
    return ":".join(
        str(part) for part in (identifier.get("type"), identifier.get("system"), identifier.get("value")) if part
    )


def _values(data: Mapping[str, Any]) -> str:
    decided = [f"{value.get('field')}={value.get('actual')}" for value in data.get("values", [])]
    return " ".join(decided) or str(data.get("because"))


def _answer(answer: Mapping[str, Any]) -> str:
    value = next((answer[kind] for kind in ("number", "choice", "text") if answer.get(kind) is not None), "-")
    return f"{answer.get('question')}={value}"
