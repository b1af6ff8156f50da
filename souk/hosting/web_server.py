"""Runs an ASGI application in this process's own event loop, on a socket that is already bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Any

import uvicorn

from souk.hosting.gathering import GatheringProtocol

IDLE_CONNECTION = 75
LAME_DUCK = 2.0
"""Seconds that kept connections are given to come once more and be sent elsewhere, where others go on."""
_LOOK = 0.02
LARGEST_HEAD = 64 * 1024


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    async def send_elsewhere(self) -> None:
        """Takes no new connection, and waits until the kept ones have gone, or LAME_DUCK is over."""
        for listening in self.servers:
            listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + LAME_DUCK
        while self.server_state.connections and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # the server tells nobody when a connection ends


def _config(application: Any, drain: float) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=GatheringProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_CONNECTION,
        timeout_graceful_shutdown=max(1, ceil(drain)),
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )


@asynccontextmanager
async def serving(
    application: Any, listener: socket.socket, drain: float, leave: Callable[[], None] | None = None
) -> AsyncIterator["asyncio.Task[None]"]:
    """Serves inside the block; at its end no new request is taken, and running ones get `drain` seconds.

    With `leave` others listen on the same socket: it is called first, and then connections that are kept
    open have LAME_DUCK seconds to go there. Gives the task that serves, which ends early only if it fails.
    """
    server = _Server(_config(application, drain))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="gateway")
    answers = asyncio.create_task(server.answers.wait())
    try:
        await asyncio.wait({task, answers}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            raise RuntimeError("the gateway's server ended before it answered")
        yield task
    finally:
        answers.cancel()
        if leave is not None:
            leave()
            await server.send_elsewhere()
        server.should_exit = True
        await task
