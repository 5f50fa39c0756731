"""What Schemathesis must know of Relata: things that exist, imports of lines, and the one 503 that is an answer.

Schemathesis imports this file (SCHEMATHESIS_HOOKS). RELATA_KNOWN names a JSON file with the ids and keys of things
that exist; half of the requests are pointed at these, because made-up ids only ever test 404.
"""

import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.openapi.checks import UnsupportedMethodResponse

KNOWN: dict[str, Any] = json.loads(Path(os.environ["RELATA_KNOWN"]).read_text())
NDJSON = "application/x-ndjson"
# The model of one line of each import; its document can only say that the body is text.
LINES = {
    "/v1/customers/import": "IdentifyIn",
    "/v1/interactions/import": "InteractionIn",
    "/v1/purchases/import": "PurchaseIn",
}
SHARED = {*LINES, "/v1/customers/identify", "/v1/segments/preview"}
AMOUNTS = ("0", "0.01", "12.30", "999999999999999999.999999", "-5", "100000")
CONDITIONS = (
    {"field": "purchases.count", "op": "gte", "value": 2},
    {"field": "identified", "op": "eq", "value": True},
    {"not": {"field": "tags", "op": "contains", "value": "vip"}},
)
_POSITION = re.compile(r"([a-z0-9]{1,32}):([0-9]{1,18})")


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Tell what a line of an import is made of."""
    for path, model in LINES.items():
        if path in raw_schema["paths"]:
            content = raw_schema["paths"][path]["post"]["requestBody"]["content"]
            content[NDJSON]["schema"] = {"type": "array", "items": {"$ref": f"#/components/schemas/{model}"}}


@schemathesis.serializer(NDJSON)
def ndjson(context: Any, value: Any) -> bytes:
    """One line for each item."""
    lines = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") for line in lines)


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Point half of the cases at what exists; the choice hangs on the case alone, so that it can be repeated."""
    chosen = zlib.crc32(repr((case.method, case.path, case.path_parameters, case.query, case.body)).encode())
    if isinstance(case.query, dict) and "after" in case.query:
        # Each made-up position costs the 5 s that the query waits for it; one in fifty is enough.
        case.query["after"] = _reachable(case.query["after"], waits=chosen % 50 == 0)
    if chosen % 2:
        return
    if isinstance(case.path_parameters, dict):
        for name in case.path_parameters:
            kind = name
            if name == "key":
                kind = "survey_key" if "/surveys/" in case.path else "segment_key"
            if kind in KNOWN:
                case.path_parameters[name] = KNOWN[kind][chosen // 2 % len(KNOWN[kind])]
    for number, body in enumerate(case.body if isinstance(case.body, list) else [case.body]):
        if isinstance(body, dict):
            _make_plausible(body, chosen // 2 + number)


def _reachable(after: Any, *, waits: bool) -> Any:
    if waits:
        return after
    given = after if isinstance(after, list) else [after]
    return [
        f"{match[1]}:{KNOWN['positions'].get(match[1], 1)}"
        if isinstance(one, str) and (match := _POSITION.fullmatch(one))
        else one
        for one in given
    ]


def _make_plausible(body: dict[str, Any], number: int) -> None:
    if "customer_id" in body:
        body["customer_id"] = KNOWN["customer_id"][number % len(KNOWN["customer_id"])]
    if isinstance(body.get("identifiers"), list):
        body["identifiers"][:1] = [{"type": "email", "value": f"fuzz{number % 200}@example.com"}]
    for name in ("occurred_at", "answered_at"):
        if body.get(name) is not None:
            body[name] = f"2026-01-{number % 28 + 1:02}T{number % 24:02}:00:00+07:00"
    if "total" in body:
        body["total"] = {"amount": AMOUNTS[number % len(AMOUNTS)], "currency": "VND"}
        body.pop("lines", None)
    if "condition" in body:
        body["condition"] = CONDITIONS[number % len(CONDITIONS)]
    if isinstance(body.get("answers"), dict):
        body["answers"] = {"recommend": number % 12, "why": str(body["answers"])[:3000]}


@schemathesis.check
def every_line_is_answered(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """An import answers 200 whatever its lines are; an unexpected error hides in a line."""
    if case.path in LINES and response.status_code == 200:
        for line in response.content.splitlines():
            answer = json.loads(line)
            assert answer.get("error", {}).get("code") != "internal_error", answer
            assert "error" in answer or answer["position"] > 0, answer


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: schemathesis.Case[Any], response: schemathesis.Response) -> bool:
    """Two answers are meant: a position that is not reached in time, and a path that another route takes too."""
    if response.status_code == 503:
        return bool(response.json().get("code") != "position_not_reached" or not case.query.get("after"))
    # PATCH /v1/customers/import is the change of a customer with this id, DELETE /v1/segments/preview of a segment.
    return not (case.path in SHARED and isinstance(failure, UnsupportedMethodResponse))
