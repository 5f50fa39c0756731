"""Where a service's events are: what was stored must be found again by every later version."""

from collections.abc import Callable

import pytest

from crm_shared.postgres import EventSourcedApplication


@pytest.mark.parametrize("service", ["contacts", "feedback"])
def test_a_services_events_are_in_the_table_that_bears_its_name(
    open_event_store: Callable[[str], EventSourcedApplication], service: str
) -> None:
    assert open_event_store(service).ordered_recorder.events_table_name == f"{service}_events"
