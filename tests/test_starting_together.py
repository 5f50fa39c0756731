"""Processes of one service that start at the same moment find or make their tables, all of them."""

import asyncio
from typing import Any

from contacts_service.main import DEFINITION as CONTACTS


async def test_processes_that_start_together_on_an_empty_store_all_come_up(launch: Any) -> None:
    started = await asyncio.gather(*(launch(CONTACTS, roles=("api",)) for _ in range(8)))

    assert [(await one.client.get("/readyz")).status_code for one in started] == [200] * 8
