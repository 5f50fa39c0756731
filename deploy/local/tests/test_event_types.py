"""Names of event types are checked against what a running service tells, and the nearest are named."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from relata_local import LocalError
from relata_local.event_types import known_types, require_types
from relata_local.ports import free_port

TYPES = {
    "crm.contacts.CustomerIdentified.v1",
    "crm.contacts.CustomerTagged.v1",
    "crm.interactions.PurchaseRecorded.v1",
}


class Service(BaseHTTPRequestHandler):
    """A service that has the index of schemas, on its path, and nothing else."""

    def do_GET(self) -> None:
        body: Any = {"items": [{"type": one} for one in TYPES]} if self.path == "/schemas" else {}
        self.send_response(200 if self.path == "/schemas" else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the test's output stays readable."""


@pytest.fixture
def service() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", free_port()), Service) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_types_come_from_the_first_service_that_tells(service: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"

    assert known_types({"contacts": dead, "older": f"{service}/nothing/here", "feedback": service}) == TYPES


def test_where_no_service_tells_nothing_is_known() -> None:
    assert known_types({"contacts": f"http://127.0.0.1:{free_port()}"}) is None


@pytest.mark.parametrize("name", ["PurchaseRecorded", "crm.interactions.PurchaseRecorded.v1", "Watermark"])
def test_short_and_full_names_are_taken(name: str) -> None:
    require_types([name], TYPES)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PurchasesRecorded", "PurchaseRecorded"),
        ("purchaserecorded", "PurchaseRecorded"),
        ("crm.interactions.PurchaseRecorded", "crm.interactions.PurchaseRecorded.v1"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(LocalError, match=f"^there is no event type {name}: did you mean {nearest}"):
        require_types([name], TYPES)


def test_where_nothing_is_near_all_are_named() -> None:
    with pytest.raises(LocalError, match="no event type Foo: there are CustomerIdentified, CustomerTagged"):
        require_types(["Foo"], TYPES)
