"""Values of functions that may be `async`, for callers that are not."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable
from typing import cast


def settled(value: object) -> object:
    """What a function returned; what it promised to return is waited for, also where an event loop runs."""
    if not inspect.isawaitable(value):
        return value
    promise = cast("Awaitable[object]", value)

    async def wait() -> object:
        return await promise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    found: list[object] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(asyncio.run(wait()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="nodegraph-await")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
