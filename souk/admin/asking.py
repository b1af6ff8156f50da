"""Asks processes on their control sockets."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import grpc
import grpc.aio
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.supervised import View, answering
from souk.admin.unix_socket import target

PATIENCE = 2.0
"""Seconds that a process is given to answer."""
# Channels to one target share their connection, and so the pause after a failed attempt: a process
# that has just come back would be thought away.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

T = TypeVar("T")
Ask = Callable[[Any], Awaitable[T]]


def connection(path: str) -> grpc.aio.Channel:
    """A channel to a control socket."""
    return grpc.aio.insecure_channel(target(path), options=_OPTIONS)


async def ask(view: View, question: Ask[T]) -> T | None:
    """What a process answers; None when it does not."""
    if not answering(view):
        return None
    try:
        async with asyncio.timeout(PATIENCE), connection(view.control) as channel:
            return await question(fleet_pb2_grpc.ProcessStub(channel))
    except (grpc.aio.AioRpcError, TimeoutError):
        return None


async def ask_all(views: Iterable[View], question: Ask[T]) -> list[tuple[View, T | None]]:
    """What each process answers, at once."""
    asked = list(views)
    return list(zip(asked, await asyncio.gather(*(ask(view, question) for view in asked)), strict=True))


async def status(process: "fleet_pb2_grpc.ProcessAsyncStub") -> fleet_pb2.GetStatusResponse:
    """How a process does: a question for `ask`."""
    return await process.GetStatus(fleet_pb2.GetStatusRequest())
