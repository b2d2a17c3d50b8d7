"""A thread of its own for one blocking call of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(function: Callable[[], T]) -> T:
    """The function's result. Raises the OSError that it raises.

    The loop's default executor would keep its threads for as long as the loop lives; this one ends
    with the call. A caller that is cancelled does not wait for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: OSError | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # a result where there is no error

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except OSError as raised:
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(deliver, result, error)

    try:
        threading.Thread(target=work, name="rmbg-hosted-lookup", daemon=True).start()
    except RuntimeError:  # the interpreter is shutting down, or no thread can be had
        raise OSError("no thread can be started") from None
    return await future
