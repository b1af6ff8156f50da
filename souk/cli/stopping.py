"""Work that SIGTERM ends as Ctrl-C does: it is cancelled, and cleans up."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

T = TypeVar("T")


async def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns; raises click.Abort when it was stopped."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise click.Abort from None
