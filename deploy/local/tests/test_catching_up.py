"""Waiting for the views neither ends too early nor goes on for ever."""

from typing import Any

import pytest
from rich.progress import Progress

from relata_local import LocalError, catching_up
from relata_local.api_client import Api, ApiError
from relata_local.catching_up import distance, wait_until_applied

Report = dict[str, Any]


def report(*, last: int, published: int | None = None, lag: int = 0) -> Report:
    """What a service says that has one projection, of its own events."""
    topics = ["crm.contacts.events.v1"]
    return {
        "last_position": last,
        "published_position": last if published is None else published,
        "projections": [{"name": "customers", "topics": topics, "lag": lag}],
    }


class Scripted(Api):
    """contacts and customer360 that say one thing after the other, and the last of them for ever.

    customer360 has applied contacts up to each of `applied` in turn.
    """

    def __init__(self, said: list[Report], applied: list[int]) -> None:
        super().__init__({"contacts": "http://127.0.0.1:1", "customer360": "http://127.0.0.1:2"})
        self._said, self._applied = iter(said), iter(applied)
        self._saying = said[0]
        self._has = applied[0]
        self.waited_for: list[str] = []

    def get(self, service: str, path: str, params: Any = None, *, patient: bool = True) -> Any:
        if path == "/v1/operations/status":
            if service == "customer360":
                return report(last=0)
            self._saying = next(self._said, self._saying)
            return self._saying
        self._has = next(self._applied, self._has)
        self.waited_for += params["after"]
        if self._has < int(params["after"][0].partition(":")[2]):
            raise ApiError(service, 503, "position_not_reached", "not yet")
        return {"items": []}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "_LEAST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(catching_up, "STALL_SECONDS", 0.2)


def wait(api: Api) -> None:
    with api, Progress(disable=True) as progress:
        wait_until_applied(api, progress)


def test_it_waits_for_the_relay_and_then_until_the_view_itself_says_that_it_has_applied_everything() -> None:
    api = Scripted([report(last=9, published=4), report(last=9)], applied=[7, 8, 9])

    wait(api)

    assert api.waited_for == ["contacts:9"] * 3


def test_a_lag_of_nothing_is_no_proof() -> None:
    with pytest.raises(LocalError, match="stopped catching up"):
        wait(Scripted([report(last=9, lag=0)], applied=[8]))


def test_a_lag_that_remains_is_no_obstacle() -> None:
    wait(Scripted([report(last=9, lag=3)], applied=[9]))


def test_what_the_views_made_of_it_is_waited_for_too() -> None:
    api = Scripted([report(last=9), report(last=12)], applied=[9, 12])

    wait(api)

    assert api.waited_for == ["contacts:9", "contacts:12"]


def test_nothing_stored_needs_no_waiting() -> None:
    api = Scripted([report(last=0)], applied=[0])

    wait(api)

    assert api.waited_for == []


def test_what_is_unpublished_and_what_is_unapplied_both_count_as_behind() -> None:
    assert distance({"contacts": report(last=10, published=6, lag=3)}) == 7
