"""Measures a hop between two processes: by Connect and by gRPC directly, and through two sidecars with mutual TLS.

The three take turns: first calls one after the other, for their time, and then 1,000 calls a second, for the CPU of
each sidecar.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import uvloop
from shop.order.v1 import order_pb2, order_pb2_grpc

from bench.figures import Figure, Section, median, progress
from bench.mesh.hop_server import CALLER, KEY, SERVICE
from bench.mesh.plane import SECRET, SOCKET, running_plane
from bench.system import MEBIBYTE, process, process_with_lines
from souk.kernel.addresses import unix_address
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.mesh.envoy.bootstrap import Sidecar, find_envoy, sidecar_command, write_bootstrap
from souk.mesh.workloads import workload_token
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.sidecar import SidecarTransport
from souk.rpc.transport import Transport

CONNECT, GRPC, MESH = "Connect, direct", "gRPC, direct", "gRPC, through two sidecars"
RATE, AT_ONCE = 1_000, 16
ISTIO_CPU, ISTIO_MEMORY = 0.20, 60.0
"""Cores and MB of a sidecar with two threads at 1,000 HTTP requests a second of 1 KB: Istio's page "Performance and
Scalability", for Istio 1.24."""
Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds: half and 99 % of the calls took at most so long. CPU for each call: of all processes, and of each
    sidecar, that of the caller first. `rate` is how many calls a second there were for it."""

    p50: float
    p99: float
    cpu: float
    sidecars: tuple[float, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class _Hop:
    addresses: dict[str, str]
    server: "Popen[str]"
    sidecars: list[psutil.Process]

    def server_cpu(self) -> float:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write("\n")
        self.server.stdin.flush()
        return float(self.server.stdout.readline())

    def sidecar_cpu(self) -> tuple[float, ...]:
        return tuple(_cpu(one) for one in self.sidecars)


def measure(folder: Path, *, calls: int, seconds: float, rounds: int) -> Section:
    """Starts a server, two sidecars and their control plane, and measures in turns; reports medians of them."""
    turns: dict[str, list[Turn]] = {CONNECT: [], GRPC: [], MESH: []}
    with _hop(folder) as hop:
        for number in range(rounds):
            progress(f"mesh: a hop, round {number + 1} of {rounds}")
            for way in list(turns)[:: -1 if number % 2 else 1]:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    turns[way].append(runner.run(_turn(way, hop, calls, seconds)))
        memory = [float(one.memory_full_info().pss) / MEBIBYTE for one in hop.sidecars]
    section = Section("mesh: a hop", details={way: [asdict(one) for one in found] for way, found in turns.items()})
    _report(section, turns, memory)
    return section


def _report(section: Section, turns: dict[str, list[Turn]], memory: list[float]) -> None:
    direct = turns[GRPC]
    for way, found in turns.items():
        ratio = median(one.p50 / base.p50 for one, base in zip(found, direct, strict=True))
        tail = median(one.p99 / base.p99 for one, base in zip(found, direct, strict=True))
        section.add(
            Figure(f"{way}: half of the calls within", median(one.p50 for one in found) * 1e3, "ms", GRPC, ratio),
            Figure("  99 of 100 within", median(one.p99 for one in found) * 1e3, "ms", GRPC, tail),
            Figure("  CPU of all processes, a call", median(one.cpu for one in found) * 1e6, "us"),
        )
    for what, base in (("gRPC", direct), ("Connect", turns[CONNECT])):
        pairs = list(zip(turns[MESH], base, strict=True))
        section.add(
            Figure(f"two sidecars add to a hop by {what}: p50", median(a.p50 - b.p50 for a, b in pairs) * 1e3, "ms"),
            Figure("  p99", median(a.p99 - b.p99 for a, b in pairs) * 1e3, "ms"),
        )
    for at, side in enumerate(("caller's", "callee's")):
        cores = median(one.sidecars[at] for one in turns[MESH]) * RATE
        beside = f"Istio's {ISTIO_CPU} vCPU, two threads"
        section.add(
            Figure(f"the {side} sidecar at {RATE:,} calls/s", cores, "cores", beside, cores / ISTIO_CPU),
            Figure("  memory (PSS)", memory[at], "MiB", f"Istio's {ISTIO_MEMORY:g} MB", memory[at] / ISTIO_MEMORY),
        )
    reached = median(one.rate for one in turns[MESH])
    section.notes.append(f"The CPU of a hop is that of {reached:.0f} calls/s with answers of 1 KiB.")


async def _turn(way: str, hop: _Hop, calls: int, seconds: float) -> Turn:
    transport = _transport(way, hop.addresses)
    clock = SystemClock()
    channel = Channel(transport, tokens=CallerTokens(KEY, CALLER, clock), audience=SERVICE, clock=clock)
    stub, request = order_pb2_grpc.OrderServiceStub(channel), order_pb2.GetOrderRequest(id="ORD-1")

    async def call() -> None:
        with acting_as("bench", on_behalf_of="U-demo"):
            await stub.GetOrder(request, timeout=10)

    for _ in range(50):
        await call()
    times = [await _timed(call) for _ in range(calls)]
    times.sort()
    before, began, own = (hop.server_cpu(), hop.sidecar_cpu()), time.perf_counter(), time.process_time()
    made = await _at_a_rate(call, seconds)
    own, took = time.process_time() - own, time.perf_counter() - began
    server, sidecars = hop.server_cpu() - before[0], hop.sidecar_cpu()
    each = tuple((end - start) / made for start, end in zip(before[1], sidecars, strict=True))
    await transport.close()
    return Turn(
        times[len(times) // 2], times[len(times) * 99 // 100], (own + server) / made + sum(each), each, made / took
    )


async def _timed(call: Call) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def _at_a_rate(call: Call, seconds: float) -> int:
    """Makes RATE calls a second, or as many as there can be; returns how many there were."""
    made, ends = 0, time.perf_counter() + seconds

    async def caller(number: int) -> None:
        nonlocal made
        due = time.perf_counter() + number / RATE
        while due < ends:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await call()
            made += 1
            due = max(due + AT_ONCE / RATE, time.perf_counter())

    await asyncio.gather(*(caller(number) for number in range(AT_ONCE)))
    return made


def _transport(way: str, addresses: dict[str, str]) -> Transport:
    address = addresses[way]
    if way == MESH:
        return SidecarTransport(SERVICE, address, SystemClock())
    if way == CONNECT:
        return ConnectTransport(lambda: [address])
    return GrpcTransport(lambda: [address])


@contextmanager
def _hop(folder: Path) -> Iterator[_Hop]:
    addresses = {CONNECT: unix_address(folder / "c.sock"), GRPC: unix_address(folder / "g.sock")}
    inbound, plane_folder = unix_address(folder / "in.sock"), folder / "plane"
    with ExitStack() as stack:
        plane = stack.enter_context(running_plane(plane_folder))
        command = (sys.executable, "-m", "bench.mesh.hop_server", addresses[GRPC], addresses[CONNECT])
        server = stack.enter_context(process_with_lines(command))
        assert server.stdout is not None
        server.stdout.readline()
        order = {"service": SERVICE, "id": f"{SERVICE}-1", "address": inbound, "app": addresses[GRPC]}
        plane.ask("join", instances=[order])
        sidecars = []
        for service, more in ((CALLER, {}), (SERVICE, {"inbound": inbound})):
            name = f"{service}-1"
            outbound = unix_address(folder / f"{name}.sock")
            addresses.setdefault(MESH, outbound)
            about = Sidecar(
                name, service, workload_token(SECRET, service, name), plane_folder / SOCKET, folder / f"{name}.adm",
                {"outbound": outbound, **more},
            )  # fmt: skip
            bootstrap = folder / f"{name}.json"
            write_bootstrap(bootstrap, about)
            started = process(sidecar_command(find_envoy(), bootstrap), folder / f"{name}.log")
            sidecars.append(stack.enter_context(started))
        plane.ask("settled", nodes=len(sidecars))
        yield _Hop(addresses, server, sidecars)


def _cpu(one: psutil.Process) -> float:
    times = one.cpu_times()
    return float(times.user + times.system)
