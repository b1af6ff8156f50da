"""Measures what a hop between two processes costs: time, and CPU of the client's process and of the server's.

python -m bench.hops grpc | connect        runs the server on a free port; it answers each line with its CPU seconds
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import IO, Any

import uvloop
from shop.order.v1 import order_pb2, order_pb2_grpc

from bench.figures import median
from bench.gateway_stub import order
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher

KINDS = ("grpc", "connect")
_KEY = b"k" * 32
_TURNS = 5


class Orders:
    """A servicer that answers with the same order each time."""

    def __init__(self) -> None:
        self._order = order()

    async def GetOrder(self, request: Any, context: Any) -> order_pb2.Order:
        return self._order


@dataclass(frozen=True, slots=True)
class Hop:
    """Seconds for each call: how long it took, and the CPU of the client and of the server."""

    took: float
    client: float
    server: float

    @property
    def cpu(self) -> float:
        """CPU seconds of client and server together."""
        return self.client + self.server


def measure(calls: int, at_once: int) -> dict[str, Hop]:
    """Measures each kind of hop in turns, with `at_once` concurrent callers; gives medians."""
    found: dict[str, list[Hop]] = {kind: [] for kind in KINDS}
    with _server("grpc") as grpc, _server("connect") as connect:
        for _ in range(_TURNS):
            for kind, process in (("grpc", grpc), ("connect", connect)):
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    found[kind].append(runner.run(_turn(kind, process, calls // _TURNS, at_once)))
    return {kind: _median(hops) for kind, hops in found.items()}


def _median(hops: list[Hop]) -> Hop:
    return Hop(median(hop.took for hop in hops), median(hop.client for hop in hops), median(hop.server for hop in hops))


@dataclass(frozen=True, slots=True)
class _Process:
    address: str
    asks: IO[str]
    answers: IO[str]

    def cpu(self) -> float:
        self.asks.write("\n")
        self.asks.flush()
        return float(self.answers.readline())


@contextmanager
def _server(kind: str) -> Iterator[_Process]:
    command = (sys.executable, "-m", "bench.hops", kind)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield _Process(process.stdout.readline().strip(), process.stdin, process.stdout)
        process.stdin.close()


async def _turn(kind: str, process: _Process, calls: int, at_once: int) -> Hop:
    async with _stub(kind, process.address) as stub:
        await _calls(stub, at_once, 20)
        server, client, began = process.cpu(), time.process_time(), time.perf_counter()
        await _calls(stub, at_once, calls // at_once)
        took, client, server = time.perf_counter() - began, time.process_time() - client, process.cpu() - server
        made = calls // at_once * at_once
        return Hop(took / made, client / made, server / made)


@asynccontextmanager
async def _stub(kind: str, address: str) -> AsyncIterator[Any]:
    clock = SystemClock()
    transport = GrpcTransport(lambda: [address]) if kind == "grpc" else ConnectTransport(lambda: [address])
    channel = Channel(transport, tokens=CallerTokens(_KEY, "bench", clock), audience="order", clock=clock)
    yield order_pb2_grpc.OrderServiceStub(channel)
    await transport.close()


async def _calls(stub: Any, at_once: int, each: int) -> None:
    request = order_pb2.GetOrderRequest(id="ORD-1")

    async def one_after_the_other() -> None:
        with acting_as("bench", on_behalf_of="U-demo"):
            for _ in range(each):
                await stub.GetOrder(request, timeout=5)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))


async def _serve(kind: str) -> None:
    clock = SystemClock()
    dispatcher = Dispatcher(CallerTokens(_KEY, "order", clock), clock)
    dispatcher.add(Orders(), order_pb2.DESCRIPTOR.services_by_name["OrderService"])
    server = await (serve(dispatcher) if kind == "grpc" else serve_connect(dispatcher))
    print(server.address, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)
    await server.stop(1.0)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
