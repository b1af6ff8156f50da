"""The conformance suite of brokers, second part: processes and servers that die, stand still, or come late."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.testing.brokers.harness import (
    PATIENCE,
    Bus,
    Recorder,
    event,
    first_times,
    never_back,
    number_of,
    run_of,
    unavailable,
)
from souk.testing.brokers.suite import GROUP
from souk.testing.relaying import eventually


def lines_of(file: Path) -> list[tuple[str, int]]:
    """Returns what a consumer's process wrote: keys and numbers."""
    if not file.exists():
        return []
    return [(key, int(number)) for key, number in (line.rsplit(" ", 1) for line in file.read_text().splitlines())]


async def until(check: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Waits for what another process does."""

    async def holds() -> bool:
        return check()

    try:
        await eventually(holds, seconds)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None


@asynccontextmanager
async def consumer_process(bus: Bus, file: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a consumer in a process of its own for the length of the block."""
    arguments = ("-m", "souk.testing.brokers.consumer", bus.server.url, bus.topic, GROUP, str(file), *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class BrokerFaultsSuite:
    """Tests of one broker that harm its server or its consumers; `bus.server` runs when a test begins."""

    @pytest.fixture
    async def declared(self, bus: Bus) -> Bus:
        await bus.connect().declare(bus.topic, [GROUP])
        return bus

    async def test_crash_between_handling_and_acknowledging(self, declared: Bus, tmp_path: Path) -> None:
        sent = run_of("a", range(10))
        await declared.publish(sent)
        died, after = tmp_path / "died", Recorder()
        async with consumer_process(declared, died, "--die-at", "4") as process:
            await asyncio.wait_for(process.wait(), PATIENCE)
        assert lines_of(died)[-1] == ("a", 4)
        async with declared.consuming(after):
            await after.has(sent[4:])
        assert number_of(after.handled[0]) <= 4
        assert never_back(after.numbers()["a"])

    async def test_rebalance_with_a_message_in_hand(self, declared: Bus) -> None:
        order: list[tuple[str, int]] = []

        async def hold(event: Event) -> None:
            order.append(("first", number_of(event)))
            await asyncio.Event().wait()

        first, second = Recorder(hold), Recorder(lambda event: order.append(("second", number_of(event))))
        keys = [f"key {n}" for n in range(8)]
        await declared.publish([event(key, 0) for key in keys])
        async with declared.consuming(first):
            await first.until(lambda: len(first.began) == len(keys))
            async with declared.consuming(second):
                later = [event(key, 1) for key in keys]
                await declared.publish(later)
                fresh = event("a new key", 5)
                await declared.publish([fresh])
                # Whatever moved to the second was ended at the first, and begins with the event that was in hand.
                await asyncio.sleep(1.0)
                for key in keys:
                    assert first_times(second.numbers().get(key, [0]))[0] == 0, key
        both = Recorder()
        async with declared.consuming(both):
            await until(lambda: {one.id for one in later} <= {*both.ids, *second.ids}, "all come")

    async def test_slow_consumer(self, declared: Bus) -> None:
        gate = asyncio.Event()

        async def wait(event: Event) -> None:
            await gate.wait()

        recorder = Recorder(wait)
        sent = [event(f"key {n}", n, size=10_000) for n in range(1_500)]
        await declared.publish(sent)
        async with declared.consuming(recorder):
            await recorder.until(lambda: len(recorder.began) >= 32)
            await asyncio.sleep(1.0)
            assert len(recorder.began) <= 256
            gate.set()
            await recorder.has(sent)

    async def test_poison(self, declared: Bus) -> None:
        def never(event: Event) -> None:
            if event.key == "poisoned":
                raise ValueError("never")

        recorder = Recorder(never)
        bad, good = run_of("poisoned", range(3)), [event(f"key {n % 20}", n) for n in range(100)]
        await declared.publish(bad + good)
        async with declared.consuming(recorder):
            await recorder.has(good)
        assert {number_of(event) for event in recorder.began if event.key == "poisoned"} == {0}

    async def test_a_message_of_1_mib(self, declared: Bus) -> None:
        broker = declared.connect()
        largest = (await broker.inspect()).largest
        big = event("big", 1, size=min(largest, 1 << 20))
        await declared.publish([big, event("big", 2)])
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has([big])
            await recorder.until(lambda: len(recorder.handled) == 2)
        assert recorder.handled[0] == big
        if largest < 1 << 20:
            too_big = event("big", 3, size=largest + 1)
            (result,) = await broker.publish(declared.topic, [too_big])
            assert result.poison
            pytest.skip(f"not given: no more than {largest} octets")

    async def test_reconnect(self, declared: Bus) -> None:
        recorder, publisher = Recorder(), declared.connect()
        sent = [event(f"key {n % 10}", n // 10) for n in range(300)]
        async with declared.consuming(recorder):
            await declared.publish(sent[:100], broker=publisher)
            await recorder.has(sent[:100])
            await declared.server.stop()
            await unavailable(publisher, declared.topic)
            await declared.server.start()
            await declared.publish(sent[100:200], broker=publisher)
            await recorder.has(sent[100:200])
            declared.server.kill()
            await declared.server.start()
            await declared.publish(sent[200:], broker=publisher)
            await recorder.has(sent)
        if declared.restart_mixes:
            pytest.skip(f"not given: {declared.restart_mixes}")
        for key, numbers in recorder.numbers().items():
            assert key == "probe" or never_back(numbers), (key, numbers)

    async def test_broker_away_at_start(self, declared: Bus) -> None:
        sent, recorder = run_of("a", range(20)), Recorder()
        await declared.server.stop()
        publisher = declared.connect()
        try:
            with pytest.raises(BrokerUnavailable):
                async with asyncio.timeout(PATIENCE):
                    await publisher.inspect()
            async with declared.consuming(recorder):
                await unavailable(publisher, declared.topic)
                await declared.server.start()
                await declared.publish(sent, broker=publisher)
                await recorder.has(sent)
        finally:
            await declared.server.start()
        assert never_back(recorder.numbers()["a"])

    async def test_acknowledged_and_then_killed(self, declared: Bus) -> None:
        if why := (await declared.connect().inspect()).durable:
            pytest.skip(f"not given: {why}")
        publisher, stored = declared.connect(), list[Event]()
        for start in range(5):
            batch = [event(f"key {n}", start) for n in range(20)]
            kept = {result.event_id for result in await publisher.publish(declared.topic, batch)}
            stored += [one for one in batch if one.id in kept]
        declared.server.kill()
        await declared.server.start()
        assert len(stored) == 100
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has(stored)
        assert all(never_back(numbers) for numbers in recorder.numbers().values())

    async def test_order_after_a_consumer_stood_still(self, declared: Bus, tmp_path: Path) -> None:
        frozen, after = tmp_path / "frozen", tmp_path / "after"
        sent = run_of("a", range(400))
        await declared.publish(sent[:200])
        async with consumer_process(declared, frozen) as process:
            await until(lambda: len(lines_of(frozen)) >= 1, "the first consumer works")
            os.kill(process.pid, signal.SIGSTOP)
            await declared.publish(sent[200:])
            async with consumer_process(declared, after):
                await until(lambda: ("a", 399) in lines_of(after) + lines_of(frozen), "another takes over")
                began = len(lines_of(frozen))
                os.kill(process.pid, signal.SIGCONT)
                taken = [number for _, number in lines_of(after)]
                assert taken[0] <= began
                assert never_back(taken)
                # What comes now goes to one of the two, and the one that stood still does not start from its past.
                last = run_of("a", [400])
                await declared.publish(last)
                await until(lambda: ("a", 400) in lines_of(after) + lines_of(frozen), "both go on")
        assert never_back([number for _, number in lines_of(frozen)][: began or 1])
