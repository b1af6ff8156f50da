"""Who is to be woken when a channel is notified, and how callbacks are called."""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context


class Listeners:
    """Callbacks by channel; used on the event loop only."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def add(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Adds one callback; returns how to take it out again, which may be done twice."""
        callbacks = self._callbacks.setdefault(channel, [])
        callbacks.append(callback)

        def stop() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return stop

    def of(self, channels: Iterable[str]) -> list[Callable[[], None]]:
        """The callbacks of these channels, as they stand now."""
        return [callback for channel in channels for callback in self._callbacks.get(channel, ())]

    def all(self) -> list[Callable[[], None]]:
        """Every callback: for wake-ups that may have been lost."""
        return self.of(self._callbacks)


def call_all(callbacks: Iterable[Callable[[], None]], database: str) -> None:
    """Calls each on the event loop, in a fresh context: none of them acts for whoever committed.

    One that fails is reported to the loop's exception handler and takes no other with it.
    """
    for callback in callbacks:
        try:
            Context().run(callback)
        except Exception as error:
            message = f"a callback after a commit of database {database} failed"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
