"""Runs an ASGI application in this process's own event loop, on a socket that is already bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Any

import uvicorn

IDLE_CONNECTION = 75
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


def _config(application: Any, drain: float) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http="httptools",
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
async def serving(application: Any, listener: socket.socket, drain: float) -> AsyncIterator["asyncio.Task[None]"]:
    """Serves inside the block; at its end no new request is taken, and running ones get `drain` seconds.

    Gives the task that serves, which ends early only if it fails.
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
        server.should_exit = True
        await task
