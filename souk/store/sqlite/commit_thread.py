"""The thread that waits for the disk, so that the event loop does not.

It is one thread with one queue: a hand-over costs half of what an executor's costs, and every transaction
that is alone in its batch pays for one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

Step = Callable[[], None]
Done = Callable[[BaseException | None], None]


class CommitThread:
    """Runs one step after the other and reports on the event loop how each ended. The first step starts the thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps: SimpleQueue[tuple[Step, Done] | None] = SimpleQueue()
        # A daemon: a process that ends without closing its database does not wait for it.
        self._thread = Thread(target=self._run, name=f"commit-{name}", daemon=True)

    def submit(self, step: Step, done: Done) -> None:
        """Runs `step` on the thread, then calls `done` on the event loop with the step's error, or None."""
        if not self._thread.ident:
            self._thread.start()
        self._steps.put((step, done))

    async def stop(self, last: Step) -> None:
        """Runs one last step and waits for the thread to end; raises what the step raised."""
        ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        self.submit(last, ended.set_result)
        self._steps.put(None)
        error = await ended
        self._thread.join()
        if error is not None:
            raise error

    def _run(self) -> None:
        while (job := self._steps.get()) is not None:
            step, done = job
            error: BaseException | None = None
            try:
                step()
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed, so nothing waits for the result
                self._loop.call_soon_threadsafe(done, error)
