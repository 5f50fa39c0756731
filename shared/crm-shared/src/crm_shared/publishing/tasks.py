"""Running coroutines side by side when the first failure should end all of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def all_or_first_error(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all at once; results in order.

    When one fails the others are cancelled and waited for, and its own exception is raised (a TaskGroup would
    wrap it, and every caller would have to unwrap it).
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
