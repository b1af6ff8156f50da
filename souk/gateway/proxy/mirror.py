"""Copies of requests for another upstream (mirroring): they never slow down or fail the request itself.

At most MOST copies are under way to an upstream at once; more are dropped, and counted. Nobody waits for an answer,
and it is thrown away.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from souk.gateway.http.problem import Problem
from souk.telemetry.logs import logger

MOST = 100
_log = logger("gateway")


class MirrorTasks:
    """The copies that are under way to one upstream. `dropped` counts those that there was no room for."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped = 0

    def start(self, copy: Coroutine[Any, Any, None]) -> None:
        """Sends a copy, if there is room."""
        if len(self._tasks) >= MOST:
            self.dropped += 1
            copy.close()
            return
        task = asyncio.create_task(self._send(copy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, copy: Coroutine[Any, Any, None]) -> None:
        try:
            await copy
        except Problem as problem:
            _log.debug("a mirrored request failed", upstream=self._upstream, code=problem.code)
        except Exception:
            _log.exception("a mirrored request failed", upstream=self._upstream)

    async def close(self) -> None:
        """Ends the copies that are under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
