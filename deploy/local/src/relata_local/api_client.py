"""The public HTTP API as an integrator uses it: requests, waits that the API asks for, and errors in one line."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from relata_local.errors import LocalError

PATIENCE_SECONDS = 60.0  # with a service that answers that it is not available now


class ApiError(LocalError):
    """An answer that says no: the problem's stable code, its HTTP status and what it says."""

    def __init__(self, service: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{service}: {detail} ({code}, {status})")
        self.status = status
        self.code = code
        self.detail = detail


class Api:
    """A client of the services, by name."""

    def __init__(self, urls: Mapping[str, str], timeout: float = 120.0) -> None:
        self.urls = dict(urls)
        self._client = httpx.Client(timeout=httpx.Timeout(timeout, connect=5.0), trust_env=False)

    def get(self, service: str, path: str, params: Mapping[str, Any] | None = None, *, patient: bool = True) -> Any:
        """GET and decode. A patient request waits while the service says 503, up to a minute."""
        return self._request("GET", service, path, params=params, patient=patient).json()

    def put(self, service: str, path: str, body: Any) -> Any:
        """PUT a JSON body and decode the answer."""
        return self._request("PUT", service, path, json=body).json()

    def import_lines(self, service: str, path: str, body: bytes) -> str:
        """POST NDJSON and return the NDJSON that comes back."""
        headers = {"Content-Type": "application/x-ndjson"}
        return self._request("POST", service, path, content=body, headers=headers).text

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, method: str, service: str, path: str, *, patient: bool = True, **options: Any) -> httpx.Response:
        url = self.urls[service] + path
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self._client.request(method, url, **options)
            except httpx.TransportError as error:
                raise LocalError(f"{service} does not answer at {self.urls[service]}: {error}") from error
            if response.is_success:
                return response
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and patient and time.monotonic() < deadline:
                time.sleep(_retry_after(response))
                continue
            raise _problem(service, response)


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(10.0, max(0.1, float(response.headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0


def _problem(service: str, response: httpx.Response) -> ApiError:
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": f"{response.request.method} {response.request.url.path} was refused"}
    detail = str(body.get("detail") or body.get("title") or "no reason given")
    return ApiError(service, response.status_code, str(body.get("code", "unknown")), detail)
