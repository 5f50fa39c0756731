"""JSON as RFC 8259 has it, and stricter in one thing: a name stands only once in an object."""

import re
from typing import Any

import orjson

from crm_shared.http.problems import DuplicateKey, MalformedRequest
from crm_shared.http.validation import json_pointer

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},:]', re.DOTALL)


def parse_json(raw: bytes) -> Any:
    """The JSON value.

    Raises `MalformedRequest` with code `invalid_utf8` or `malformed_json`, and `DuplicateKey` for a name that an object
    has twice: parsers differ in which of the two values they take.
    """
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            raw.decode()
        except UnicodeDecodeError as not_text:
            raise MalformedRequest(f"byte {not_text.start} is not UTF-8", code="invalid_utf8") from None
        raise MalformedRequest(str(error)) from None
    if _may_repeat_a_key(raw, parsed) and (repeated := _repeated_key(raw)):
        raise DuplicateKey(json_pointer(repeated))
    return parsed


def _may_repeat_a_key(raw: bytes, parsed: Any) -> bool:
    """False only if no object has a name twice.

    What was parsed, written again, has one colon for each member that was kept and those that texts hold. The parser
    drops a member whose name comes again, so there are fewer than in `raw`, unless a text there has one as an escape.
    """
    if rb"\u003a" in raw or rb"\u003A" in raw:
        return True
    try:
        return raw.count(b":") != orjson.dumps(parsed).count(b":")
    except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
        return True


def _repeated_key(raw: bytes) -> list[str | int] | None:
    """Where the first name stands that its object has already, name and place as a path; None if there is none.

    `raw` is valid JSON.
    """
    # For each array or object that is open: the names in it so far (None in an array), and the member at hand.
    names: list[set[str] | None] = []
    path: list[str | int] = []
    last = b""
    for match in _TOKEN.finditer(raw):
        token = match[0]
        match token:
            case b"{":
                names.append(set())
                path.append("")
            case b"[":
                names.append(None)
                path.append(0)
            case b"}" | b"]":
                names.pop()
                path.pop()
            case b"," if names[-1] is None:
                path[-1] = int(path[-1]) + 1
            case b":":
                path[-1] = name = orjson.loads(last)
                known = names[-1]
                assert known is not None
                if name in known:
                    return path
                known.add(name)
        last = token
    return None
