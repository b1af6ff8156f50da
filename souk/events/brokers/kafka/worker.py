"""A thread that works for the event loop, one call at a time, and does not keep the process from ending."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


class LoopWorker:
    """One thread, for a client that must not be used by two and whose calls may hang as long as the broker does.

    An executor's thread would be waited for at the end of the process.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    async def call(self, function: Callable[[], _T]) -> _T:
        """Runs a function after those that were called before; it also runs to its end if the caller is cancelled."""
        return await self.begin(function)

    def begin(self, function: Callable[[], _T]) -> "asyncio.Future[_T]":
        """Runs a function after those that were called before, and returns what will be its result."""
        answer: asyncio.Future[_T] = self._loop.create_future()

        def run() -> None:
            try:
                result = function()
            except Exception as error:
                self._on_loop(_fail, answer, error)
            else:
                self._on_loop(_succeed, answer, result)

        self._calls.put(run)
        return answer

    def end(self) -> None:
        """Ends the thread after what was called."""
        self._calls.put(None)

    def _work(self) -> None:
        while (run := self._calls.get()) is not None:
            run()

    def _on_loop(self, function: Callable[..., None], *arguments: object) -> None:
        # After the end of the loop nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _succeed(answer: "asyncio.Future[_T]", result: _T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[_T]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
