"""The time for answers on one connection: one timer of the event loop for many requests, not one for each."""

import asyncio
from collections.abc import Callable

from souk.gateway.proxy.faults import FaultKind


class AnswerTimer:
    """Calls `fail` when an answer is late.

    An answer that comes in time leaves the timer of the loop as it is. When that goes off, it is set anew for what is
    left of the time of the request that is under way by then; so a connection sets one in `first_byte` seconds, and
    not one a request.
    """

    __slots__ = ("_at", "_fail", "_loop", "_seconds", "_timer", "_timer_at")

    def __init__(self, fail: Callable[[FaultKind, str], None]) -> None:
        self._fail, self._loop = fail, asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._seconds = 0.0
        self._at: float | None = None

    def after(self, seconds: float | None) -> None:
        """Says in how many seconds from now the answer is late; None for never, or when it has come."""
        if seconds is None:
            self._at = None
            return
        at = self._at = self._loop.time() + seconds
        self._seconds = seconds
        if self._timer is None or self._timer_at > at:
            self._set(at)

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._goes_off), at

    def _goes_off(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._set(self._at)
        else:
            self._fail(FaultKind.LATE, f"no answer within {self._seconds} seconds")

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
