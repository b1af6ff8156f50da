"""Receives notifications and sends those of this process, on a connection of its own; reconnects when it is lost.

Notifications are not sent in the transactions that cause them: PostgreSQL lets transactions with a NOTIFY commit
only one after the other, in all databases of the server, and each waits for the disk by itself.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any

from souk.resilience.backoff import Backoff
from souk.store.listeners import Listeners, call_all
from souk.store.postgres.connection import drop, dropped_on_failure
from souk.store.postgres.errors import DRIVER_ERRORS

CHANNEL = "souk"
"""PostgreSQL's channel for all channels of Souk, which the payload names: one LISTEN serves them all."""

_TOGETHER = 0.01
"""Seconds for which further notifications are collected after some were sent."""
_AWAY = Backoff(initial=0.1, cap=5.0, jitter=0.0)


class PostgresListener:
    """Wakes listeners when their channel is notified, and all of them after a lost connection, for what they missed."""

    def __init__(self, connect: Callable[[], Any], listeners: Listeners, name: str) -> None:
        self._connect = connect
        self._listeners = listeners
        self._name = name
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsent: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def notify(self, channels: set[str]) -> None:
        """Wakes the listeners of these channels: in this process at once, in other processes soon."""
        call_all(self._listeners.of(channels), self._name)
        self._unsent |= channels
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send(), context=Context())

    async def _send(self) -> None:
        while self._unsent:
            channels, self._unsent = self._unsent, set()
            with suppress(*DRIVER_ERRORS):  # a lost notification does no harm: listeners also poll
                await self._connection.execute(notification(channels))
            await asyncio.sleep(_TOGETHER)

    async def start(self) -> None:
        """Connects, and reconnects when the connection is lost; raises the driver's error if the first try fails."""
        await self._listen()
        self._task = asyncio.create_task(self._stay())

    async def stop(self) -> None:
        """Sends the notifications that are not yet sent, and closes the connection."""
        with dropped_on_failure(self):
            if self._sending is not None:
                await asyncio.gather(self._sending, return_exceptions=True)
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            if self._connection is not None and not self._connection.is_closed():
                self._connection.remove_termination_listener(self._on_lost)
                await self._connection.close()

    def terminate(self) -> None:
        """Ends it at once, without a word to the server."""
        for task in (self._sending, self._task):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            self._connection.remove_termination_listener(self._on_lost)
            drop(self._connection)

    async def _listen(self) -> None:
        self._lost.clear()
        connection = await self._connect()
        with dropped_on_failure(connection):
            connection.add_termination_listener(self._on_lost)
            await connection.add_listener(CHANNEL, self._on_notify)
        self._connection = connection

    async def _stay(self) -> None:
        while True:
            await self._lost.wait()
            await self._listen_again()
            call_all(self._listeners.all(), self._name)

    async def _listen_again(self) -> None:
        tries = 0
        while True:
            try:
                return await self._listen()
            except DRIVER_ERRORS:  # still away; until then listeners poll
                tries += 1
                await asyncio.sleep(_AWAY.longest(tries))

    def _on_lost(self, connection: Any) -> None:
        if connection is self._connection:  # and not one that was dropped before it listened
            self._lost.set()

    def _on_notify(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        if pid != connection.get_server_pid():  # the listeners of this process were woken when it sent this
            call_all(self._listeners.of([str(payload)]), self._name)


def notification(channels: set[str]) -> str:
    """Returns the SQL that notifies these channels."""
    return ";".join(f"NOTIFY {CHANNEL}, {_quoted(channel)}" for channel in sorted(channels))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
