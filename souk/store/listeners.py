"""Who is to be woken when a channel is notified."""

from collections.abc import Callable, Iterable


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
