"""A service of other processes: found, balanced, and left alone once it has left."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from souk.discovery.directory import Directory
from souk.discovery.embedded.server import serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.resilience.balancer import BalancerSettings
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import standard_layers
from souk.rpc.connect.server import serve_connect
from souk.rpc.discovered import CONNECT, DiscoveredTransport
from souk.rpc.grpc.server import serve
from souk.rpc.server.dispatcher import Dispatcher
from souk.runtime.config.resilience import Protection
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2 import DESCRIPTOR
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.rpc.probe import Probe, tokens

CLOCK = SystemClock()
ASK = pb.Ask(what="echo")


class Replica:
    """One instance of the probe, which says who answered."""

    def __init__(self, name: str, server, registration) -> None:
        self.name, self.server, self.registration = name, server, registration


class Named(Probe):
    def __init__(self, name: str, answered: Counter) -> None:
        super().__init__()
        self._name, self._answered = name, answered

    async def Unary(self, request, context):
        self._answered[self._name] += 1
        return await super().Unary(request, context)


class Fleet:
    """A registry, and replicas that come and go."""

    def __init__(self, registry, stack: AsyncExitStack) -> None:
        self.registry, self._stack = registry, stack
        self.answered: Counter = Counter()
        self.speaks_connect = True
        self.connects: list = []

    async def join(self, name: str) -> Replica:
        dispatcher = Dispatcher(tokens("probe"))
        dispatcher.add(Named(name, self.answered), DESCRIPTOR.services_by_name["Probe"])
        server = await serve(dispatcher)
        self._stack.push_async_callback(server.stop, None)
        connect = await serve_connect(dispatcher)
        self._stack.push_async_callback(connect.stop, None)
        self.connects.append(connect)
        speaks = {CONNECT: connect.address.rpartition(":")[2]}
        instance = Instance("probe", name, server.address, metadata=speaks if self.speaks_connect else {})
        return Replica(name, server, await self.registry.register(instance))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_registry(folder / "r.sock"))
        registry = await open_registry(f"unix:{folder}/r.sock", CLOCK)
        stack.push_async_callback(registry.close)
        yield Fleet(registry, stack)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running(tmp_path) as fleet:
        yield fleet


@pytest.fixture
async def directory(fleet: Fleet) -> AsyncIterator[Directory]:
    directory = Directory(fleet.registry, CLOCK)
    yield directory
    await directory.close()


@pytest.fixture
async def elsewhere(directory: Directory) -> AsyncIterator[DiscoveredTransport]:
    elsewhere = DiscoveredTransport("probe", directory, CLOCK)
    yield elsewhere
    await elsewhere.close(0)


@pytest.fixture
def stub(elsewhere: DiscoveredTransport):
    balancer = elsewhere.balancer(Protection(balancer=BalancerSettings()).new_balancer)
    layers = [elsewhere.found, *standard_layers("probe", CLOCK, balancer=balancer)]
    return ProbeStub(Channel(elsewhere, tokens=tokens("test"), layers=layers))


async def changed(directory: Directory, count: int) -> None:
    """Waits until so many instances are known."""
    known = asyncio.Event()
    directory.on_change("probe", lambda found: known.set() if len(found) == count else None)
    if len(directory.instances("probe")) != count:
        async with asyncio.timeout(120):
            await known.wait()


async def test_the_first_call_waits_for_the_registry(fleet, stub):
    await fleet.join("a")
    await stub.Unary(ASK)
    assert fleet.answered == {"a": 1}


async def test_calls_go_to_all_who_are_there(fleet, stub, directory):
    for name in "abc":
        await fleet.join(name)
    await changed(directory, 3)
    for _ in range(60):
        await stub.Unary(ASK)
    assert set(fleet.answered) == {"a", "b", "c"}


async def test_nobody_is_there(stub):
    with pytest.raises(CallFailed, match="no instance of probe") as raised:
        await stub.Unary(ASK)
    assert raised.value.outcome.value == "not sent"
    took = []
    for _ in range(3):  # the machine may be busy with something else for a moment
        began = time.monotonic()
        with pytest.raises(CallFailed):
            await stub.Unary(ASK)
        took.append(time.monotonic() - began)
    assert min(took) < 0.9, "only the first call waits for the registry"


async def test_one_that_left_is_not_called_again(fleet, stub, directory):
    leaving = await fleet.join("a")
    await fleet.join("b")
    await changed(directory, 2)
    for _ in range(20):
        await stub.Unary(ASK)
    await leaving.registration.leave()
    await changed(directory, 1)
    before = fleet.answered["a"]
    for _ in range(40):
        await stub.Unary(ASK)
    assert fleet.answered["a"] == before


async def test_one_that_comes_later_is_called(fleet, stub, directory):
    await fleet.join("a")
    await changed(directory, 1)
    await stub.Unary(ASK)
    await fleet.join("b")
    await changed(directory, 2)
    for _ in range(60):
        await stub.Unary(ASK)
    assert fleet.answered["b"] > 0


async def test_without_a_choice_a_stream_goes_to_one_of_them(fleet, stub, directory):
    await fleet.join("a")
    await changed(directory, 1)
    shown = [reply async for reply in stub.Down(pb.Ask(count=3))]
    assert len(shown) == 3


async def test_unary_calls_go_by_connect_where_the_instance_speaks_it(fleet, stub, directory):
    await fleet.join("a")
    await changed(directory, 1)
    await stub.Unary(ASK)
    assert len(fleet.connects[0].connections) == 1


async def test_one_that_speaks_grpc_alone_is_called_by_grpc(fleet, stub, directory):
    fleet.speaks_connect = False
    await fleet.join("a")
    await changed(directory, 1)
    await stub.Unary(ASK)
    assert fleet.answered == {"a": 1}
    assert not fleet.connects[0].connections


async def test_who_prefers_grpc_calls_by_grpc(fleet, directory):
    elsewhere = DiscoveredTransport("probe", directory, CLOCK, connect=False)
    balancer = elsewhere.balancer(Protection().new_balancer)
    layers = [elsewhere.found, *standard_layers("probe", CLOCK, balancer=balancer)]
    await fleet.join("a")
    await changed(directory, 1)
    await ProbeStub(Channel(elsewhere, tokens=tokens("test"), layers=layers)).Unary(ASK)
    assert not fleet.connects[0].connections
    await elsewhere.close(0)
