"""Runs an ASGI application in this process's own event loop, on a socket that is already bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Any

import uvicorn

from souk.runtime.process.http.connections import HttpServerState
from souk.runtime.process.http.limits import LINGER, HttpLimits
from souk.runtime.process.http.protocol import WebProtocol
from souk.runtime.process.http.tls import ServerTls

LAME_DUCK = 2.0
"""Seconds in which kept connections may send one more request and be closed, when other processes share the socket."""
LAST_CALLS = 0.3
"""Seconds for which a server that stops still answers clients that do not know it yet."""
_POLL = 0.02


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to the process and sets `answers` once it has started."""

    def __init__(self, config: uvicorn.Config, limits: HttpLimits) -> None:
        super().__init__(config)
        self.server_state = self.connections = HttpServerState(limits)
        self.answers = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    async def leave(self, seconds: float) -> None:
        """Takes no new connection, and lets each response end its own, until none is left or `seconds` are over."""
        self.connections.drain()
        await asyncio.sleep(_POLL)  # takes the connections that were made already
        for listening in self.servers:
            listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.connections.connections and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)  # the server has no event for the end of a connection


def _config(application: Any, drain: float, tls: ServerTls | None, protocol: type[WebProtocol]) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=protocol,
        ws=protocol.websockets,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_context_factory=None if tls is None else lambda config, default: tls.context,
        timeout_graceful_shutdown=max(1, ceil(drain)) + ceil(LINGER),
    )


@asynccontextmanager
async def serving(
    application: Any,
    listener: socket.socket,
    drain: float,
    *,
    shared: bool = False,
    limits: HttpLimits = HttpLimits(),  # noqa: B008  # it is frozen
    tls: ServerTls | None = None,
    protocol: type[WebProtocol] = WebProtocol,
) -> AsyncIterator["asyncio.Task[None]"]:
    """Serves inside the block; when it ends, no new connection is taken, and running requests get `drain` seconds.

    From then on each response ends its connection. Requests on kept connections are still answered for LAST_CALLS
    seconds, or for LAME_DUCK when the socket is `shared` with processes that go on; then waiting connections are
    closed. Gives the task that serves, which ends early only if it fails.
    """
    server = _Server(_config(application, drain, tls, protocol), limits)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="gateway")
    answers = asyncio.create_task(server.answers.wait())
    watching = asyncio.create_task(server.connections.watch(*(() if tls is None else (tls.renew,))))
    async with _ending(answers, watching):
        try:
            await asyncio.wait({task, answers}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                raise RuntimeError("the gateway's server ended before it answered")
            yield task
        finally:
            await _end(server, task, LAME_DUCK if shared else LAST_CALLS)


@asynccontextmanager
async def _ending(*tasks: "asyncio.Task[Any]") -> AsyncIterator[None]:
    """Ends tasks when the block ends, however it ends."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(server: _Server, task: "asyncio.Task[None]", last_calls: float) -> None:
    try:
        if not task.done():
            await server.leave(last_calls)
    finally:  # also when that is cancelled: the task would go on for ever
        server.should_exit = True
        await task
