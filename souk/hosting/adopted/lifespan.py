"""Starts and stops an application by ASGI's lifespan protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from souk.hosting.adopted.application import Application, Message
from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import logger

_log = logger("adopted")
_ASGI = {"version": "3.0", "spec_version": "2.0"}


class _Life:
    """One life of an application: `state` is what it gives to its requests."""

    def __init__(self, application: Application) -> None:
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self.state}
        self._task = asyncio.ensure_future(application(scope, self._events.get, self._answers.put))

    async def tell(self, event: str, limit: float | None) -> Message | None:
        """Sends an event and waits for its answer; None when the application has ended, or after `limit` seconds."""
        self._events.put_nowait({"type": f"lifespan.{event}"})
        answer = asyncio.ensure_future(self._answers.get())
        try:
            await asyncio.wait({answer, self._task}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()

    @property
    def error(self) -> BaseException | None:
        """What ended the application's task, if it has failed."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        _ = self.error  # it was seen


@asynccontextmanager
async def living(application: Application, limit: float) -> AsyncIterator[dict[str, Any]]:
    """Starts an application, and stops it when the block ends, for which it has `limit` seconds; gives its state.

    An application that does not speak of its lifespan is used as it is. Raises ConfigurationError, in one line, when it
    fails to start.
    """
    life = _Life(application)
    try:
        started = await life.tell("startup", None)
        if started is None:
            _log.debug("the application has no lifespan", error=repr(life.error))
        elif started["type"] == "lifespan.startup.failed":
            _log.error("the application failed to start", exception=started.get("message", ""))
            raise ConfigurationError(f"the application failed to start: {_last_line(started)}")
        yield life.state
        if started is not None:
            stopped = await life.tell("shutdown", limit)
            if stopped is None or stopped["type"] != "lifespan.shutdown.complete":
                why = "it takes too long" if stopped is None else _last_line(stopped)
                _log.error("the application did not stop well", reason=why)
    finally:
        await life.end()


def _last_line(message: Message) -> str:
    return (str(message.get("message", "")).strip().splitlines() or ["it does not say why"])[-1]
