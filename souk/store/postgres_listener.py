"""Hears notifications on a connection of its own, and finds its way back after it was lost."""

import asyncio
from collections.abc import Callable
from typing import Any

from souk.store.listeners import Listeners, call_all
from souk.store.postgres_errors import DRIVER_ERRORS

CHANNEL = "souk"
"""PostgreSQL's channel for all of ours, which are named by the payload: one LISTEN serves them all."""

_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class PostgresListener:
    """Wakes listeners. After a lost connection it wakes all of them, for what they may have missed."""

    def __init__(self, connect: Callable[[], Any], listeners: Listeners, name: str) -> None:
        self._connect = connect
        self._listeners = listeners
        self._name = name
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects, and keeps connected; raises what the driver raises when the first try fails."""
        await self._listen()
        self._task = asyncio.create_task(self._stay())

    async def stop(self) -> None:
        """Closes the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None and not self._connection.is_closed():
            self._connection.remove_termination_listener(self._on_lost)
            await self._connection.close()

    async def _listen(self) -> None:
        self._lost.clear()
        self._connection = await self._connect()
        self._connection.add_termination_listener(self._on_lost)
        await self._connection.add_listener(CHANNEL, self._on_heard)

    async def _stay(self) -> None:
        while True:
            await self._lost.wait()
            await self._listen_again()
            call_all(self._listeners.all(), self._name)

    async def _listen_again(self) -> None:
        pause = _PAUSE
        while True:
            try:
                return await self._listen()
            except DRIVER_ERRORS:  # still away; whoever listens also polls
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _on_lost(self, connection: Any) -> None:
        self._lost.set()

    def _on_heard(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        call_all(self._listeners.of([str(payload)]), self._name)


def notification(channels: set[str]) -> str:
    """SQL that notifies these channels when its transaction commits."""
    return "".join(f"NOTIFY {CHANNEL}, {_quoted(channel)};" for channel in sorted(channels))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
