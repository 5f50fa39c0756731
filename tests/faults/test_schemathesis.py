"""Made-up requests to every endpoint, alone and in chains: no 5xx, nothing that the OpenAPI document does not name."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.faults.fleet import Fleet

from relata_local.services import SERVICES

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
SECONDS = 20
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "every_line_is_answered",
)
CUSTOMERS = 10
_CASES = re.compile(r"([0-9]+) generated")


@pytest.fixture(scope="module")
def known(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the ids and keys of things that exist, of every kind."""
    file = tmp_path_factory.mktemp("known") / "known.json"
    positions: dict[str, int] = {}
    with httpx.Client(timeout=30) as client:

        def send(service: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = client.request(method, fleet.url(service) + path, json=body).raise_for_status()
            found: dict[str, Any] = answer.json()
            positions[service] = found["position"]
            return found

        question = {"key": "recommend", "kind": "nps", "prompt": "How likely?"}
        survey = {"title": "NPS", "questions": [question, {"key": "why", "kind": "text", "prompt": "Why?"}]}
        condition = {"field": "purchases.count", "op": "gte", "value": 1}
        for key in ("known-one", "known-two"):
            send("feedback", "PUT", f"/v1/surveys/{key}", survey)
            send("segmentation", "PUT", f"/v1/segments/{key}", {"name": key, "condition": condition})
        ids: dict[str, list[str]] = {"customer_id": [], "purchase_id": [], "interaction_id": []}
        for number in range(CUSTOMERS):
            identifiers = [{"type": "email", "value": f"fuzz{number}@example.com"}]
            profile = {"name": f"Nguyễn Thị {number}"}
            sighting = {"source": "webshop", "identifiers": identifiers, "profile": profile, "tags": ["vip"]}
            customer = send("contacts", "POST", "/v1/customers/identify", sighting)["customer_id"]
            of = {"customer_id": customer, "occurred_at": "2026-01-01T00:00:00Z"}
            order = {"system": "webshop", "order_id": str(number), "total": {"amount": "10.50", "currency": "USD"}}
            purchase = send("interactions", "POST", "/v1/purchases", of | order)
            talk = send("interactions", "POST", "/v1/interactions", of | {"channel": "email", "direction": "inbound"})
            response = {"customer_id": customer, "answers": {"recommend": number}}
            send("feedback", "POST", "/v1/surveys/known-one/answers", response)
            ids["customer_id"].append(customer)
            ids["purchase_id"].append(purchase["purchase_id"])
            ids["interaction_id"].append(talk["interaction_id"])
    keys = {"segment_key": ["known-one", "known-two"], "survey_key": ["known-one", "known-two"]}
    schemas = {"service": ["contacts"], "event": ["CustomerIdentified"], "version": ["1.0"]}
    file.write_text(
        json.dumps(ids | keys | schemas | {"projection": ["contacts-service.customers"], "positions": positions})
    )
    return file


@pytest.mark.parametrize("service", SERVICES)
async def test_no_request_meets_a_server_error_or_an_answer_that_is_not_documented(
    fleet: Fleet, known: Path, service: str, tmp_path: Path, count: int, tally: Callable[..., None]
) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.touch()  # an explicit file: it would otherwise look for one in all folders above
    command = [
        *("-m", "schemathesis.cli", "--config-file", str(settings), "run", f"{fleet.url(service)}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--checks", ",".join(CHECKS), "--continue-on-failure"),
        *("--max-examples", str(20 * count), "--max-time", str(SECONDS * count), "--seed", "1"),
        *("--generation-database", "none", "--request-timeout", "20", "--no-color", "--warnings", "off"),
    ]

    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "RELATA_KNOWN": str(known)},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed = (await running.communicate())[0].decode()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()

    assert running.returncode == 0, printed
    cases = _CASES.search(printed)
    assert cases is not None, printed
    assert int(cases[1]) > 100
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{fleet.url(service)}/readyz")).status_code == 200
    tally(requests=int(cases[1]))
