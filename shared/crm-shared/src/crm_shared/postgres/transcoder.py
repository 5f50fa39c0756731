"""How event state becomes bytes: JSON by orjson, with what JSON lacks tagged."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from eventsourcing.persistence import Transcoder

_TAGGED: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
}


class OrjsonTranscoder(Transcoder):
    """Stores event state as JSON by orjson.

    Datetimes, dates and Decimals are tagged (`{"$": "decimal", "v": "12.30"}`) and restored. UUIDs come back as
    text, so events hold ids as text from the start.
    """

    def encode(self, obj: Any) -> bytes:
        return orjson.dumps(obj, default=_tag, option=orjson.OPT_PASSTHROUGH_DATETIME)

    def decode(self, data: bytes) -> Any:
        state = orjson.loads(data)
        # An event's tagged values are most often its own, not those of its parts, which then need not be looked at.
        left = data.count(b"$")
        for name, value in state.items():
            if type(value) is dict and len(value) == 2 and "$" in value:
                state[name] = _TAGGED[value["$"]](value["v"])
                left -= 1
                if not left:
                    return state
        return _restore(state)


def _tag(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$": "datetime", "v": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$": "decimal", "v": str(value)}
    if isinstance(value, date):
        return {"$": "date", "v": value.isoformat()}
    raise TypeError(f"an event cannot hold a {type(value).__name__}")


def _restore(value: Any) -> Any:
    if type(value) is list:
        return [_restore(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 2 and "$" in value:
        return _TAGGED[value["$"]](value["v"])
    for key, item in value.items():
        kind = type(item)
        if kind is dict and len(item) == 2 and "$" in item:
            value[key] = _TAGGED[item["$"]](item["v"])
        elif kind is dict or kind is list:
            value[key] = _restore(item)
    return value
