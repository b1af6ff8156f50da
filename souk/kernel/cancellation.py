"""Tells a cancellation of the running task from a CancelledError that something else has raised in it."""

import asyncio


def is_cancelled() -> bool:
    """Returns whether the running task was asked to end; false for a CancelledError of a call or of a future."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
