"""One call for several requests that want the same answer at the same time (request collapsing)."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from souk.gateway.http.answers import Answer
from souk.gateway.http.problem import Problem
from souk.kernel.cancellation import is_cancelled


class SharedCall:
    """A call in a task of its own, so that it goes on when one of those who wait is cancelled.

    When the last of them is gone, the call is cancelled: nobody wants its answer. `began` is when it was made, in
    seconds of the monotonic clock.
    """

    def __init__(self, began: float, call: Coroutine[Any, Any, Answer]) -> None:
        self.began, self._waiting = began, 0
        self.task = asyncio.create_task(call)
        self.task.add_done_callback(_noted)

    @property
    def abandoned(self) -> bool:
        """Whether the call is being cancelled, so that nobody may join it any more."""
        return self.task.cancelling() > 0

    async def answer(self) -> Answer:
        """Waits for the answer. Raises what the call raises, the same for all who wait."""
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise Problem(503, "NOT_READY", "the call was ended, as the system stops; try again") from None
        finally:
            self._waiting -= 1
            if not self._waiting:
                self.task.cancel()


def _noted(task: "asyncio.Task[Answer]") -> None:
    """Takes note of a failure that nobody waits for any more, which asyncio would report as lost."""
    if not task.cancelled():
        task.exception()
