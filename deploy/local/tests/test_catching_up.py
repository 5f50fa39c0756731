"""Waiting for the views neither ends too early nor goes on for ever."""

from collections.abc import Iterator
from typing import Any

import pytest
from rich.progress import Progress

from relata_local import LocalError, catching_up
from relata_local.api_client import Api
from relata_local.catching_up import distance, notes, wait_until_applied

Report = dict[str, Any]


def report(*, last: int, published: int | None, lag: int, noted_at: int) -> dict[str, Report]:
    """What one service with one projection says; `noted_at` counts seconds."""
    partition = {"partition": 0, "lag": lag, "updated_at": f"2026-01-01T00:00:{noted_at:02}+00:00"}
    return {
        "contacts": {
            "events_stored": last,
            "last_position": last,
            "published_position": published,
            "projections": [{"name": "customers", "partitions": [partition]}],
        }
    }


class Scripted(Api):
    """A stack that says one thing after the other, and the last of them for ever."""

    def __init__(self, *said: dict[str, Report]) -> None:
        super().__init__({"contacts": "http://127.0.0.1:1"})
        self._said: Iterator[dict[str, Report]] = iter(said)
        self._now = said[0]
        self.asked = 0

    def get(self, service: str, path: str, params: Any = None, *, patient: bool = True) -> Any:
        self.asked += 1
        self._now = next(self._said, self._now)
        return self._now[service]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "_LEAST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(catching_up, "STALL_SECONDS", 0.2)


def wait(api: Api) -> None:
    with api, Progress(disable=True) as progress:
        wait_until_applied(api, progress)


def test_it_waits_for_the_relay_then_for_the_lag_and_then_for_two_notes_that_nothing_is_left() -> None:
    api = Scripted(
        report(last=9, published=4, lag=0, noted_at=1),
        report(last=9, published=9, lag=5, noted_at=3),
        report(last=9, published=9, lag=0, noted_at=5),
        report(last=9, published=9, lag=0, noted_at=7),
        report(last=9, published=9, lag=0, noted_at=9),
    )

    wait(api)

    assert api.asked == 5


def test_a_note_from_before_a_restart_is_not_taken_for_an_answer() -> None:
    api = Scripted(
        report(last=9, published=9, lag=0, noted_at=1),  # of the process that has ended
        report(last=9, published=9, lag=0, noted_at=30),  # the new one, which has not heard from the broker yet
        report(last=9, published=9, lag=9, noted_at=32),
        report(last=9, published=9, lag=0, noted_at=34),
        report(last=9, published=9, lag=0, noted_at=36),
        report(last=9, published=9, lag=0, noted_at=38),
    )

    wait(api)

    assert api.asked == 6


def test_new_events_start_the_wait_anew() -> None:
    api = Scripted(
        report(last=9, published=9, lag=0, noted_at=1),
        report(last=9, published=9, lag=0, noted_at=3),
        report(last=12, published=12, lag=0, noted_at=5),
        report(last=12, published=12, lag=0, noted_at=7),
        report(last=12, published=12, lag=0, noted_at=9),
    )

    wait(api)

    assert api.asked == 5


def test_views_that_do_not_move_are_reported() -> None:
    with pytest.raises(LocalError, match="stopped catching up, 5 events behind"):
        wait(Scripted(report(last=9, published=9, lag=5, noted_at=1)))


def test_nothing_stored_needs_no_waiting() -> None:
    api = Scripted(report(last=0, published=None, lag=0, noted_at=1))

    wait(api)

    assert api.asked == 1


def test_what_is_unpublished_and_what_is_unapplied_both_count_as_behind() -> None:
    assert distance(report(last=10, published=6, lag=3, noted_at=1)) == 7
    assert distance(report(last=3, published=None, lag=0, noted_at=1)) == 3


def test_a_projection_that_has_not_noted_anything_yet_is_not_taken_for_done() -> None:
    said = report(last=1, published=1, lag=0, noted_at=1)
    said["contacts"]["projections"][0]["partitions"] = []

    assert notes(said) == {}
