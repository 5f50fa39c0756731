"""One short English sentence about an event, made from its payload as the timeline keeps it, without nulls."""

from collections.abc import Sequence
from typing import Any

_MOST_NAMED = 3
_MOST_LETTERS = 80


def sentence(event_type: str, data: dict[str, Any]) -> str:
    """What happened, for example "Bought 2 × cd for 29.33 USD at cdnow"."""
    match event_type:
        case "CustomerIdentified":
            return f"Identified by {data['source']}{_in_brackets(map(_identifier, data['identifiers']))}"
        case "CustomerDetailsChanged":
            return _details_changed(data)
        case "IdentityLinked":
            return f"Linked {_identifier(data['identifier'])}"
        case "CustomerTagged":
            return f"Tagged {_cut(data['tag'])}"
        case "CustomerUntagged":
            return f"Untagged {_cut(data['tag'])}"
        case "PreferencesChanged":
            changed = [pointer.removeprefix("/").replace("/", " ").replace("_", " ") for pointer in data["changed"]]
            return f"Changed preferences{': ' if changed else ''}{_some(changed)}"
        case "InteractionLogged":
            return _interaction(data)
        case "PurchaseRecorded":
            return _purchase(data)
        case "CustomerEnteredSegment":
            return f"Entered segment {data['segment_key']}{_reason(data['because'])}"
        case "CustomerLeftSegment":
            return f"Left segment {data['segment_key']}{_reason(data['because'])}"
        case "SurveyAnswered":
            answers = [_answer(answer) for answer in data["answers"]]
            return f"Answered survey {data['survey_key']}{': ' if answers else ''}{_some(answers)}"
        case _:
            return event_type


def _purchase(data: dict[str, Any]) -> str:
    total = data["total"]
    lines = [f"{line['quantity']} × {_cut(line.get('name') or line['sku'])}" for line in data["lines"]]
    goods = _some(lines) or f"order {_cut(data['order_id'])}"
    return f"Bought {goods} for {total['amount']} {total['currency']} at {data['system']}"


def _interaction(data: dict[str, Any]) -> str:
    direction = {"inbound": "from", "outbound": "to"}.get(data["direction"], f"({_cut(data['direction'])}) with")
    about = f": {_cut(data['subject'])}" if data.get("subject") else ""
    return f"{data['channel'].replace('_', ' ').capitalize()} contact {direction} the customer{about}"


def _details_changed(data: dict[str, Any]) -> str:
    changed: set[str] = set()
    cleared: set[str] = set()
    for pointer in data["changed"]:
        root, *path = pointer.removeprefix("/").split("/")
        value: Any = data.get(root)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        (cleared if value is None else changed).add(" ".join(path or [root]).replace("_", " "))
    parts = [f"{verb} {_some(sorted(names))}" for verb, names in (("changed", changed), ("cleared", cleared)) if names]
    text = " and ".join(parts) or "changed details"
    return text[:1].upper() + text[1:]


def _answer(answer: dict[str, Any]) -> str:
    name = {"nps": "NPS", "csat": "CSAT", "ces": "CES"}.get(answer["kind"], _cut(answer["question"]))
    value = next((answer[key] for key in ("number", "choice", "text") if key in answer), "")
    return f"{name} {_cut(str(value))}".rstrip()


def _identifier(identifier: dict[str, Any]) -> str:
    parts = (identifier.get("system") or identifier["type"], identifier.get("value"))
    return _cut(" ".join(part for part in parts if part))


def _reason(because: str) -> str:
    return {"segment_defined": ", as it is now defined", "segment_retired": ", which was retired"}.get(because, "")


def _in_brackets(parts: Any) -> str:
    named = _some(list(parts))
    return f" ({named})" if named else ""


def _some(parts: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(parts) - _MOST_NAMED
    return ", ".join(parts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"
