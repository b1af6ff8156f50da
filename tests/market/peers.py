"""Servers that stand in for a service and do not behave: registered like it, and called like it.

    with Peer(operator.registry, "product", SILENT) as peer:
        peer.arrivals         paths of the calls that came, in order

By gRPC, unless `connect`: then also by Connect, which a Souk service prefers.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import grpc.aio

from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.addresses import LOOPBACK
from souk.kernel.clock import SystemClock

PATIENCE = 120.0
NOISE = b"\xff\xfe\xfd not a message \x00\x01" * 40

Answer = Callable[[Any], Awaitable[bytes]]
Raw = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Manners:
    """How a server answers a unary call by gRPC, and by Connect once it has read a request. Without `answer` it
    sends the octets `raw`, whatever the protocol."""

    name: str
    answer: Answer | None
    raw: Raw


async def _never(context: object) -> bytes:
    await asyncio.sleep(3_600)
    return b""


async def _never_raw(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3_600)


async def _noise(context: object) -> bytes:
    return NOISE


async def _noise_raw(writer: asyncio.StreamWriter) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: {len(NOISE)}\r\n\r\n"
    writer.write(head.encode() + NOISE)


async def _babble_raw(writer: asyncio.StreamWriter) -> None:
    writer.write(NOISE)
    writer.close()


async def _fails(context: Any) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "not today")


async def _fails_raw(writer: asyncio.StreamWriter) -> None:
    body = b'{"code":"unavailable","message":"not today"}'
    head = f"HTTP/1.1 503 No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _half_raw(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 1000\r\n\r\n\x0a\x05P-1")
    await writer.drain()
    writer.close()


SILENT = Manners("silent", _never, _never_raw)
GARBAGE = Manners("garbage", _noise, _noise_raw)
BABBLE = Manners("no protocol at all", None, _babble_raw)
HALF = Manners("half an answer", None, _half_raw)
FAILING = Manners("failing", _fails, _fails_raw)


@dataclass
class Peer:
    """A server that stands in for a service, as the module's docstring shows it."""

    registry: str
    service: str
    manners: Manners
    connect: bool = False
    arrivals: list[str] = field(default_factory=list)

    def __enter__(self) -> "Peer":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"peer {self.service}")
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _open(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Anything(self),))
        port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        self._raw = await asyncio.start_server(self._serve, LOOPBACK, 0)
        raw = self._raw.sockets[0].getsockname()[1]
        metadata = {"connect": str(raw)} if self.connect else {}
        port = raw if self.manners.answer is None else port
        self._discovery = await open_registry(self.registry, SystemClock())
        id_ = f"{self.service}-stranger"
        await self._discovery.register(Instance(self.service, id_, f"{LOOPBACK}:{port}", metadata=metadata))

    async def _close(self) -> None:
        await self._discovery.close()
        self._raw.close()
        await self._server.stop(0)
        here = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # connections close in the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = head.partition("content-length:")[2].partition("\r\n")[0]
                await reader.readexactly(int(length or 0))
                self.arrivals.append(head.split()[1])
                await self.manners.raw(writer)
                if not writer.is_closing():
                    await writer.drain()


class _Anything(grpc.GenericRpcHandler):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def handle(request: bytes, context: Any) -> bytes:
            self._peer.arrivals.append(details.method.lower())
            assert self._peer.manners.answer is not None
            return await self._peer.manners.answer(context)

        return grpc.unary_unary_rpc_method_handler(handle)
