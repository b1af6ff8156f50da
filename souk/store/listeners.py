"""The callbacks that listen to channels, and how callbacks are called."""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context


class Listeners:
    """Callbacks by channel; to be used on the event loop only."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def add(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Adds one callback; returns a function that removes it, which may be called twice."""
        callbacks = self._callbacks.setdefault(channel, [])
        callbacks.append(callback)

        def stop() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return stop

    def of(self, channels: Iterable[str]) -> list[Callable[[], None]]:
        """Returns the present callbacks of these channels."""
        return [callback for channel in channels for callback in self._callbacks.get(channel, ())]

    def all(self) -> list[Callable[[], None]]:
        """Returns every callback, for when notifications may have been lost."""
        return self.of(self._callbacks)


def call_all(callbacks: Iterable[Callable[[], None]], database: str) -> None:
    """Calls each callback in a fresh context, so that none acts for the caller that committed; on the event loop only.

    The failure of a callback is reported to the loop's exception handler and does not stop the others.
    """
    for callback in callbacks:
        try:
            Context().run(callback)
        except Exception as error:
            message = f"a callback after a commit of database {database} failed"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
