"""The calls of orders as bare hops: as many HTTP/1.1 messages of the same sizes, over kept connections, to handlers
that do nothing.

python -m bench.fleet_hops serve
python -m bench.fleet_hops call PORT ORDERS CLIENTS OUT:BACK...
"""

import asyncio
import re
import sys
import time
from typing import Any, cast

import uvloop

_ANSWER = re.compile(rb"x-answer: (\d+)")
_LENGTH = re.compile(rb"content-length: (\d+)")


class _Server(asyncio.Protocol):
    """Answers a request with as many octets as it asks for."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if _complete(self._buffer):
            wanted = _ANSWER.search(self._buffer)
            octets = int(wanted[1]) if wanted else 0
            self._buffer = b""
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: %d\r\n\r\n" % octets
            self._transport.write(head + b"x" * octets)


class _Caller(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def call(self, request: bytes) -> "asyncio.Future[None]":
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if _complete(self._buffer) and self._answer is not None:
            self._buffer = b""
            self._answer.set_result(None)

    def close(self) -> None:
        self._transport.close()


def _complete(buffer: bytes) -> bool:
    head = buffer.find(b"\r\n\r\n")
    length = _LENGTH.search(buffer)
    return head >= 0 and length is not None and len(buffer) >= head + 4 + int(length[1])


def _request(out: int, back: int) -> bytes:
    head = b"POST /shop.order.v1.OrderService/PlaceOrder HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\n"
    return head + b"x-answer: %d\r\ncontent-length: %d\r\n\r\n" % (back, out) + b"x" * out


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.process_time()
    await asyncio.to_thread(sys.stdin.readline)
    print(time.process_time() - began, flush=True)


async def _call(port: int, orders: int, clients: int, requests: list[bytes]) -> None:
    loop, left = asyncio.get_running_loop(), orders
    callers: list[Any] = [(await loop.create_connection(_Caller, "127.0.0.1", port))[1] for _ in range(clients)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    start, cpu = time.perf_counter(), time.process_time()

    async def client(caller: _Caller) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            for request in requests:
                await caller.call(request)

    await asyncio.gather(*(client(caller) for caller in callers))
    print(time.perf_counter() - start, time.process_time() - cpu, flush=True)
    for caller in callers:
        caller.close()


def main() -> None:
    """Runs the server or the clients, as the first argument says."""
    mode, *rest = sys.argv[1:]
    if mode == "serve":
        uvloop.run(_serve())
        return
    port, orders, clients, *sizes = rest
    pairs = [tuple(map(int, size.split(":"))) for size in sizes]
    uvloop.run(_call(int(port), int(orders), int(clients), [_request(out, back) for out, back in pairs]))


if __name__ == "__main__":
    main()
