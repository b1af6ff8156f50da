"""A server leaves no task behind, however its block ends."""

import asyncio
from typing import Any

import pytest

from souk.runtime.process.http.server import LAST_CALLS, serving
from souk.runtime.process.sockets import listen


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answers no request."""


async def test_a_server_that_has_ended_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    with listen("127.0.0.1", 0) as listener:
        async with serving(nothing, listener, 0):
            assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before


async def test_a_server_that_cannot_start_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    with listen("127.0.0.1", 0) as listener:
        pass
    with pytest.raises(OSError):
        async with serving(nothing, listener, 0):
            raise AssertionError("its socket is closed")
    assert asyncio.all_tasks() == before


async def test_a_server_whose_end_is_cancelled_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    with listen("127.0.0.1", 0) as listener:

        async def served() -> None:
            async with serving(nothing, listener, 0):
                served_now.set()

        served_now = asyncio.Event()
        serving_task = asyncio.create_task(served())
        await served_now.wait()
        await asyncio.sleep(0)
        serving_task.cancel()
        async with asyncio.timeout(LAST_CALLS * 20):
            await asyncio.wait({serving_task})
        assert serving_task.cancelled()
    assert asyncio.all_tasks() == before
