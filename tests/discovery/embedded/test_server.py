"""The embedded registry as a client in any language sees it: messages on streams."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from soukapi.v1.registry_pb2 import RegisteredInstance, RegisterRequest, WatchRequest
from soukapi.v1.registry_pb2_grpc import RegistryStub

from souk.discovery.embedded.client import EmbeddedRegistryClient
from souk.discovery.embedded.server import EmbeddedRegistry, EmbeddedSettings, serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.testing.registry.embedded import EmbeddedHarness
from souk.testing.registry.harness import PATIENCE, another_process, eventually, is_about_an_earlier_loop, watching

pytestmark = pytest.mark.usefixtures("nothing_goes_wrong_unseen")


@pytest.fixture
async def nothing_goes_wrong_unseen() -> AsyncIterator[None]:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: reported.append(what))
    yield
    assert [what for what in reported if not is_about_an_earlier_loop(what)] == []


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[EmbeddedRegistry]:
    async with serving_registry(tmp_path / "r.sock", settings=EmbeddedSettings(lease=0.5, grace=0.2)) as registry:
        yield registry


@pytest.fixture
async def stub(registry: EmbeddedRegistry) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(registry.url) as channel:
        yield RegistryStub(channel)


def said(name: str = "order-1", healthy: bool = True, **more: Any) -> RegisterRequest:
    message = {"service": "order", "id": name, "address": "127.0.0.1:1", "weight": 1, **more}
    return RegisterRequest(instance=RegisteredInstance(**message), healthy=healthy)


async def registered(stub: Any, *requests: RegisterRequest) -> Any:
    """Opens a stream, and registers all of these on it."""
    call = stub.Register()
    for request in requests:
        await call.write(request)
        assert (await call.read()).lease.ToMilliseconds() == 500
    return call


def ids(registry: EmbeddedRegistry) -> list[str]:
    return [instance.id for instance in registry.instances("order")]


async def test_a_stream_that_says_nothing_for_a_lease_is_ended(registry: EmbeddedRegistry, stub: Any) -> None:
    call = await registered(stub, said())
    assert ids(registry) == ["order-1"]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(call.read(), PATIENCE)
    assert raised.value.code() is grpc.StatusCode.ABORTED
    assert ids(registry) == []


@pytest.mark.parametrize("wrong", [{"id": ""}, {"address": "x"}, {"weight": 0}, {"service": "a b"}])
async def test_what_is_no_instance_is_refused(registry: EmbeddedRegistry, stub: Any, wrong: dict[str, Any]) -> None:
    call = stub.Register()
    await call.write(said(**wrong))
    with pytest.raises(grpc.aio.AioRpcError, match="cannot be registered") as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert registry.services() == ()


async def test_a_stream_keeps_its_service_and_id(registry: EmbeddedRegistry, stub: Any) -> None:
    call = await registered(stub, said())
    await call.write(said("order-2"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ids(registry) == []


async def test_a_later_stream_takes_the_place_over(registry: EmbeddedRegistry, stub: Any) -> None:
    earlier = await registered(stub, said())
    later = await registered(stub, said(weight=5))
    await earlier.write(said(weight=9))
    await earlier.read()
    assert [instance.weight for instance in registry.instances("order")] == [5]
    await earlier.done_writing()
    assert await earlier.read() is grpc.aio.EOF
    assert ids(registry) == ["order-1"]
    await later.done_writing()
    assert await later.read() is grpc.aio.EOF
    assert ids(registry) == []


async def test_a_stream_that_breaks_leaves_at_once(registry: EmbeddedRegistry, stub: Any) -> None:
    call = await registered(stub, said())
    await registered(stub, said("order-2", healthy=False))
    assert registry.services() == ("order",)
    call.cancel()
    await asyncio.wait_for(registry.until("order", lambda instances: not instances), PATIENCE)


async def test_a_watch_repeats_itself_and_says_when_the_registry_has_settled(stub: Any) -> None:
    watch = stub.Watch(WatchRequest(service="order"))
    first = await watch.read()
    assert not first.settled
    while not (last := await asyncio.wait_for(watch.read(), PATIENCE)).settled:
        assert last.life == first.life
    again = await asyncio.wait_for(watch.read(), PATIENCE)
    assert again == last
    watch.cancel()


async def test_stopping_tells_nobody_that_everybody_has_left(tmp_path: Path) -> None:
    async with serving_registry(tmp_path / "r.sock") as registry:
        channel = grpc.aio.insecure_channel(registry.url)
        stub: Any = RegistryStub(channel)
        call = await registered_with_any_lease(stub)
        watch = stub.Watch(WatchRequest(service="order"))
        assert len((await watch.read()).instances) == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    while (answer := await watch.read()) is not grpc.aio.EOF:
        assert len(answer.instances) == 1
    await channel.close()


async def registered_with_any_lease(stub: Any) -> Any:
    call = stub.Register()
    await call.write(said())
    await call.read()
    return call


SERVER = """
import asyncio, sys
from pathlib import Path
from souk.discovery.embedded.client import EmbeddedRegistryClient
from souk.discovery.embedded.server import EmbeddedSettings, serving_registry
async def main():
    async with serving_registry(Path(sys.argv[1]), settings=EmbeddedSettings(lease=float(sys.argv[2]))):
        print("serving", flush=True)
        await asyncio.Future()
asyncio.run(main())
"""


async def server(where: Path, lease: float = 10.0) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(where), str(lease)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    while await asyncio.wait_for(process.stdout.readline(), PATIENCE) != b"serving\n":
        assert process.returncode is None
    return process


async def settled_when_it_knows(where: Path, instance: Instance) -> bool:
    """Tells whether a registry counted as settled when it first knew an instance."""
    async with grpc.aio.insecure_channel(f"unix:{where}") as channel:
        stub: Any = RegistryStub(channel)
        watch = stub.Watch(WatchRequest(service=instance.service))
        while not (answer := await asyncio.wait_for(watch.read(), PATIENCE)).instances:
            pass
        watch.cancel()
    return bool(answer.settled)


async def test_nobody_has_left_when_the_registry_hangs_together_with_who_is_registered(tmp_path: Path) -> None:
    """Ctrl-Z on a terminal stops both; what goes on first is the registry, which has heard nothing for long."""
    where = tmp_path / "r.sock"
    registry = await server(where, lease=1.5)
    client = EmbeddedRegistryClient(f"unix:{where}", silence=4.0)
    one, two = (Instance("order", f"order-{number}", f"127.0.0.1:{number}") for number in (1, 2))
    async with (
        another_process(EmbeddedHarness(url=f"unix:{where}"), one) as process,
        watching(client, "order") as watcher,
    ):
        await watcher.knows(one)
        for stopped in (registry, process):
            stopped.send_signal(signal.SIGSTOP)
        await eventually(lambda: client.away == "the registry does not answer")
        registry.send_signal(signal.SIGCONT)
        await client.register(two)
        process.send_signal(signal.SIGCONT)
        await watcher.knows(one, two)
        await eventually(lambda: client.away == "")
        assert watcher.left == []
        await client.close()
    registry.kill()
    await registry.communicate()


async def test_a_registry_that_is_killed_and_started_again_on_its_socket(tmp_path: Path) -> None:
    """Both its clients go on by themselves, and nobody is told that anybody has left."""
    where = tmp_path / "r.sock"
    first = await server(where, lease=60.0)
    one, other = [await open_registry(f"unix:{where}", SystemClock()) for _ in range(2)]
    instance = Instance("order", "order-1", "127.0.0.1:1")
    await one.register(instance)
    async with watching(other, "order") as watcher:
        await watcher.knows(instance)
        first.send_signal(signal.SIGKILL)
        await first.communicate()
        await eventually(lambda: other.away != "")
        second = await server(where)
        assert not await settled_when_it_knows(where, instance)
        await one.register(Instance("order", "order-2", "127.0.0.1:2"))
        await watcher.until(lambda it: len(it.known) == 2)
        assert watcher.left == []
        await asyncio.gather(one.close(), other.close())
    second.kill()
    await second.communicate()
