"""What a process says of itself, over its control socket."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection
from souk.admin.servicers.process import KEPT, Inspected, RequestRate, controlling
from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.resilience.breaker.breaker import Breaker
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import Guards, standard_layers
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Context, Dispatcher
from souk.runtime.calls.breaker_registry import Breakers
from souk.telemetry.health import Health
from souk.telemetry.proc import family_bytes, resident_bytes
from souk.telemetry.traffic import Traffic
from souk.testing.clocks import FakeClock
from souk.testing.probe import probe_pb2, probe_pb2_grpc

SYSTEM = SystemClock()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=1_800_000_000_000_000)


@pytest.fixture
def inspected(clock: FakeClock) -> Inspected:
    return Inspected("order", "order-2", Breakers(clock), Traffic(), clock, Health(clock), version="1.0")


@pytest.fixture
async def process(tmp_path: Path, inspected: Inspected) -> "AsyncIterator[fleet_pb2_grpc.ProcessAsyncStub]":
    async with controlling(tmp_path / "c.sock", inspected), connection(str(tmp_path / "c.sock")) as channel:
        yield fleet_pb2_grpc.ProcessStub(channel)


async def test_it_tells_who_it_is_and_how_it_does(
    process: "fleet_pb2_grpc.ProcessAsyncStub", inspected: Inspected, clock: FakeClock
) -> None:
    with inspected.traffic, inspected.traffic:
        clock.advance(2.0)
        status = await process.GetStatus(fleet_pb2.GetStatusRequest())
    assert (status.service, status.instance, status.version, status.pid) == ("order", "order-2", "1.0", os.getpid())
    assert (status.uptime.ToTimedelta().total_seconds(), status.requests_in_flight) == (2.0, 2)
    assert status.requests_served == 0
    status = await process.GetStatus(fleet_pb2.GetStatusRequest())
    assert (status.requests_served, status.requests_in_flight, status.requests_per_second) == (2, 0, 1.0)
    assert status.resident_bytes == pytest.approx(resident_bytes(), rel=0.5)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock, traffic = FakeClock(), Traffic()
    rate = RequestRate(traffic, clock)
    assert rate() == 0.0
    for _ in range(3 * KEPT):
        traffic.served += 10
        clock.advance(1.0)
        rate.sample()
    assert rate() == 10.0
    for _ in range(KEPT):
        clock.advance(1.0)
        rate.sample()
    assert rate() == 0.0


async def test_a_breaker_says_since_when_and_until_when(
    process: "fleet_pb2_grpc.ProcessAsyncStub", inspected: Inspected, clock: FakeClock
) -> None:
    breaker = inspected.breakers.add("order", "payment", Breaker.textbook())
    began = clock.now()
    clock.advance(10.0)
    for _ in range(4):
        permit = breaker.acquire(clock.monotonic())
        assert permit is not None
        permit.fail(clock.monotonic())
    clock.advance(2.0)
    assert breaker.acquire(clock.monotonic()) is None
    (one,) = (await process.ListBreakers(fleet_pb2.ListBreakersRequest())).breakers
    assert (one.process, one.state, one.refused) == ("order-2", fleet_pb2.BREAKER_STATE_OPEN, 1)
    assert one.since.ToMicroseconds() - began == pytest.approx(10e6, abs=10)
    assert one.until.ToMicroseconds() - began == pytest.approx(15e6, abs=10)
    answer = await process.SetBreaker(
        fleet_pb2.SetBreakerRequest(callee="payment", mode=fleet_pb2.BREAKER_MODE_DISABLED)
    )
    assert answer.breakers[0].state == fleet_pb2.BREAKER_STATE_DISABLED
    assert not answer.breakers[0].HasField("until")


async def test_a_mode_has_to_be_said(process: "fleet_pb2_grpc.ProcessAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await process.SetBreaker(fleet_pb2.SetBreakerRequest(callee="payment"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


class Echo(probe_pb2_grpc.ProbeServicer):
    """Answers."""

    async def Unary(self, request: probe_pb2.Ask, context: Context) -> probe_pb2.Answer:
        return probe_pb2.Answer()


async def test_one_that_is_forced_open_sends_nothing_and_comes_back(
    process: "fleet_pb2_grpc.ProcessAsyncStub", inspected: Inspected
) -> None:
    dispatcher = Dispatcher(None)
    dispatcher.add(Echo(), probe_pb2.DESCRIPTOR.services_by_name["Probe"])
    breaker = inspected.breakers.add("order", "probe", Breaker())
    layers = standard_layers("probe", SYSTEM, guards=lambda method: Guards(breaker=breaker))
    probe = probe_pb2_grpc.ProbeStub(Channel(InProcessTransport(dispatcher), layers=layers, clock=SYSTEM))

    async def force(mode: fleet_pb2.BreakerMode.ValueType) -> None:
        await process.SetBreaker(fleet_pb2.SetBreakerRequest(callee="probe", mode=mode))

    await probe.Unary(probe_pb2.Ask())
    await force(fleet_pb2.BREAKER_MODE_FORCED_OPEN)
    with pytest.raises(CallFailed) as caught:
        await probe.Unary(probe_pb2.Ask())
    assert caught.value.outcome is Outcome.NOT_SENT
    assert dispatcher.traffic.served == 1
    await force(fleet_pb2.BREAKER_MODE_AUTO)
    await probe.Unary(probe_pb2.Ask())
    assert dispatcher.traffic.served == 2


async def test_the_memory_of_a_family_is_that_of_all_its_processes() -> None:
    block = "b = bytearray(30_000_000); print(len(b), flush=True); input()"
    alone = family_bytes(os.getpid())
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", block), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    assert family_bytes(child.pid) > 30_000_000
    assert family_bytes(os.getpid()) > alone + 20_000_000
    await child.communicate(b"\n")
