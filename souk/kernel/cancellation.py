"""Cancellation: whether the running task is to end, and work that goes on when the one who awaits it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def is_cancelled() -> bool:
    """Returns whether the running task was asked to end; false for a CancelledError of a call or of a future."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def carried_through(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Has a coroutine function go on to its end when its caller is cancelled, as when an operator's command ends.

    Nobody learns then what it raises.
    """

    @wraps(work)
    async def begun(*args: P.args, **named: P.kwargs) -> T:
        return await asyncio.shield(asyncio.create_task(work(*args, **named)))

    return begun
