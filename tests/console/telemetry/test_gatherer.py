"""Gathering from processes that come, go and hang, and by one gateway of several."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.servicers.process import CONTRACT, Inspected, controlling
from souk.admin.unix_socket import serving
from souk.console.telemetry.gathering import gatherer as gathering_module
from souk.console.telemetry.gathering.gatherer import Gatherer
from souk.console.telemetry.gathering.opening import Telemetry, gathering, state_of
from souk.console.telemetry.gathering.system_processes import ProcessSocket
from souk.console.telemetry.store.records import TelemetryBatch
from souk.console.telemetry.store.state import Condition, TelemetryState
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.kernel.clock import SystemClock
from souk.rpc.server.dispatcher import Context
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.config.console import ConsoleSettings
from souk.store.sqlite.directory_lock import lock_directory
from souk.telemetry.health import Health
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.sampling import HeadSampler, always_on
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.traffic import Traffic
from tests.console.telemetry.made import rows

CLOCK = SystemClock()
EVERY = 0.01
PATIENCE = 60.0


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(EVERY)


class Listed:
    """Processes that a test names."""

    def __init__(self) -> None:
        self.sockets_: dict[str, ProcessSocket] = {}

    async def sockets(self) -> Mapping[str, ProcessSocket]:
        return dict(self.sockets_)

    def run(self) -> str:
        return "this start"


class World:
    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.listed, self._stack = folder, Listed(), stack
        self.store = TelemetryStore(folder, ConsoleSettings(), CLOCK, "gateway-1")
        self.gatherer = Gatherer(self.store, self.listed, CLOCK, every=EVERY)

    async def process(self, name: str) -> Tracer:
        """Starts a process that keeps spans; returns what makes some."""
        ring = SpanRing()
        inspected = Inspected(name, f"{name}-1", Breakers(CLOCK), Traffic(), CLOCK, Health(CLOCK), spans=ring)
        await self._stack.enter_async_context(controlling(self.socket(name), inspected))
        return Tracer(name, HeadSampler(always_on), CLOCK, ring)

    def socket(self, name: str) -> Path:
        path = self.folder / f"{name}.sock"
        self.listed.sockets_[f"{name}-1"] = ProcessSocket(f"{name}-1", name, str(path))
        return path

    def names(self) -> list[str]:
        return [str(one) for (one,) in rows(self.folder, "SELECT name FROM spans ORDER BY name")]

    async def kept(self, *names: str) -> None:
        await until(lambda: (self.folder / "console.db").exists() and self.store.state.at > 0)
        await until(lambda: self.names() == list(names))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        world = World(tmp_path, stack)
        running = asyncio.create_task(world.gatherer.run())
        yield world
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.store.close()


def record(tracer: Tracer, name: str) -> None:
    tracer.start(name, SpanKind.SERVER).end()


async def test_spans_of_processes_that_come_later_are_gathered_too(world: World) -> None:
    record(await world.process("order"), "a")
    await world.kept("a")
    record(await world.process("payment"), "b")
    await world.kept("a", "b")


async def test_one_that_goes_is_asked_no_more_and_keeps_what_it_gave(world: World) -> None:
    record(await world.process("order"), "a")
    await world.kept("a")
    del world.listed.sockets_["order-1"]
    record(await world.process("payment"), "b")
    await world.kept("a", "b")
    await until(lambda: [one.process for one in world.gatherer.read] == ["payment-1"])


class Hanging(fleet_pb2_grpc.ProcessServicer):
    """Never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def ReadSpans(self, request: fleet_pb2.ReadSpansRequest, context: Context) -> fleet_pb2.ReadSpansResponse:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_one_that_hangs_holds_up_no_other(world: World) -> None:
    hanging = Hanging()
    async with serving(world.socket("stuck"), {CONTRACT: hanging}, CLOCK):
        await hanging.asked.wait()
        tracer = await world.process("order")
        for name in "abc":
            record(tracer, name)
            await world.kept(*"abc"[: "abc".index(name) + 1])


async def test_one_that_is_away_is_read_once_it_is_there(world: World) -> None:
    world.socket("order")
    record(await world.process("payment"), "a")
    await world.kept("a")
    record(await world.process("order"), "b")
    await world.kept("a", "b")


async def test_what_cannot_be_written_waits_and_then_nothing_more_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = asyncio.Event()
    write = world.store.write

    async def refuse(batch: TelemetryBatch, run: str) -> bool:
        if len(batch.spans) >= 3:
            full.set()
        return False

    monkeypatch.setattr(gathering_module, "MOST_WAITING", 3)
    monkeypatch.setattr(world.store, "write", refuse)
    tracer = await world.process("order")
    for name in "abc":
        record(tracer, name)
    await asyncio.wait_for(full.wait(), PATIENCE)
    for name in "defg":
        record(tracer, name)
    await until(lambda: world.gatherer.state.waiting == 3)
    monkeypatch.setattr(world.store, "write", write)
    await world.kept(*"abcdefg")


@asynccontextmanager
async def gateway(data: Path, name: str) -> AsyncIterator[Telemetry]:
    async with gathering(data, ConsoleSettings(), CLOCK, name, EVERY) as telemetry:
        yield telemetry


async def test_of_several_gateways_one_gathers_and_another_takes_over(tmp_path: Path) -> None:
    async with gateway(tmp_path, "gateway-1") as first:
        await until(lambda: first.gatherer is not None)
        async with gateway(tmp_path, "gateway-2") as second:
            await asyncio.sleep(EVERY)
            assert second.gatherer is None
            first_gatherer, first.gatherer = first.gatherer, first.gatherer
            assert first_gatherer is not None
            async with gateway(tmp_path / "other", "gateway-3") as third:
                await until(lambda: third.gatherer is not None)
    async with gateway(tmp_path, "gateway-2") as second:
        await until(lambda: second.gatherer is not None)


async def test_one_that_only_reads_says_how_the_other_does(tmp_path: Path) -> None:
    folder = tmp_path / "console"
    folder.mkdir()
    lock = lock_directory(folder)
    async with gateway(tmp_path, "gateway-2") as telemetry:
        assert "Nothing gathers" in telemetry.state().words
        TelemetryState(Condition.FULL, "The disk is full.", at=CLOCK.now()).save(folder)
        assert (telemetry.state().condition, telemetry.state().words) == (Condition.FULL, "The disk is full.")
        lock.release()


def test_a_gatherer_that_says_nothing_any_more_is_away(tmp_path: Path) -> None:
    TelemetryState(at=CLOCK.now() - 60_000_000).save(tmp_path)
    state = state_of(tmp_path, CLOCK.now())
    assert state.condition is Condition.AWAY
    assert "Nothing has been gathered for 60 seconds" in state.words


async def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("a file")
    async with gateway(tmp_path, "gateway-1") as telemetry:
        await until(lambda: bool(telemetry.why))
        assert "cannot keep anything" in telemetry.state().words
        (tmp_path / "console").unlink()
        await until(lambda: telemetry.gatherer is not None)
