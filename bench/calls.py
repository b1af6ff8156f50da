"""Measures what a call costs: in process, with and without layers, and between processes; each beside grpc.aio."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any

import grpc.aio
import uvloop
from shop.order.v1 import order_pb2, order_pb2_grpc

from bench.figures import Figure, Section, median, progress
from bench.hops import Hop, Orders
from bench.hops import measure as measure_hops
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.rpc.call import Layer
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import standard_layers
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher

_CLOCK = SystemClock()
_KEY = b"k" * 32
_TURNS = 5

Call = Callable[[], Awaitable[Any]]


def _served() -> Any:
    """Makes the same servicer with the base class that generated code needs."""
    return type("Served", (Orders, order_pb2_grpc.OrderServiceServicer), {})()


def measure(*, calls: int) -> Section:
    """Measures calls, one after the other and in turns; gives medians."""
    progress("calls: one at a time")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took = runner.run(_all(calls))
    local, layered = took["local"], took["layered"]
    section = Section("calls", details=took)
    section.add(
        Figure("local call, with every layer", layered * 1e6, "us", "grpc.aio on loopback", layered / took["grpc"]),
        Figure("  without layers", local * 1e6, "us", "grpc.aio on loopback", local / took["grpc"]),
        Figure("  grpc.aio, client and server in one process", took["grpc"] * 1e6, "us"),
    )
    for at_once in (1, 16):
        progress(f"calls: from process to process, {at_once} at once")
        hops = measure_hops(calls, at_once)
        section.details[f"hops, {at_once} at once"] = {kind: asdict(hop) for kind, hop in hops.items()}
        section.add(*_hops(hops["connect"], hops["grpc"], at_once))
    return section


def _hops(connect: Hop, grpc_hop: Hop, at_once: int) -> list[Figure]:
    beside = f"grpc.aio, {at_once} at once"
    lines = (
        (f"Connect hop, {at_once} at once: time a call", connect.took, grpc_hop.took),
        ("  CPU of the client's process", connect.client, grpc_hop.client),
        ("  CPU of the server's process", connect.server, grpc_hop.server),
    )
    return [Figure(what, own * 1e6, "us", beside, own / other) for what, own, other in lines]


async def _all(calls: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        ways: dict[str, Call] = {
            "direct": _direct(),
            "local": _local(()),
            "layered": _local(standard_layers("order", _CLOCK)),
            "grpc": await stack.enter_async_context(_grpc()),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_TURNS):
            for name, call in ways.items():
                times[name].append(await _loop(call, calls if name != "grpc" else calls // 4))
    return {name: median(found) for name, found in times.items()}


async def _loop(call: Call, calls: int) -> float:
    with acting_as("bench", on_behalf_of="U-demo"):
        start = time.perf_counter()
        for _ in range(calls):
            await call()
        return (time.perf_counter() - start) / calls


def _direct() -> Call:
    servicer, request = Orders(), order_pb2.GetOrderRequest(id="ORD-1")
    return lambda: servicer.GetOrder(request, None)


def _local(layers: Sequence[Layer]) -> Call:
    dispatcher = Dispatcher(CallerTokens(_KEY, "order", _CLOCK), _CLOCK)
    dispatcher.add(Orders(), order_pb2.DESCRIPTOR.services_by_name["OrderService"])
    tokens = CallerTokens(_KEY, "bench", _CLOCK)
    channel = Channel(
        InProcessTransport(dispatcher, _CLOCK), tokens=tokens, audience="order", layers=layers, clock=_CLOCK
    )
    return _stub(channel)


def _stub(channel: grpc.aio.Channel) -> Call:
    stub, request = order_pb2_grpc.OrderServiceStub(channel), order_pb2.GetOrderRequest(id="ORD-1")
    return lambda: stub.GetOrder(request, timeout=5)


@asynccontextmanager
async def _grpc() -> AsyncIterator[Call]:
    server = grpc.aio.server()
    order_pb2_grpc.add_OrderServiceServicer_to_server(_served(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield _stub(channel)
    await server.stop(0)
