"""The conformance suite of brokers, first part: publishing and consuming. The names are those of Watermill's tests.

A test class derives from BrokerSuite and gives it a fixture `bus`. `BrokerFaultsSuite` is the second part.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from random import Random

import pytest
from soukapi.v1.event_pb2 import Event

from souk.events.broker import Broker, BrokerUnavailable
from souk.testing.brokers.harness import PATIENCE, Bus, Recorder, event, never_back, number_of, run_of
from souk.testing.relaying import eventually

GROUP = "notification/mails"


class BrokerSuite:
    """Tests of one broker without harm to its server."""

    @pytest.fixture
    async def declared(self, bus: Bus) -> Bus:
        await bus.connect().declare(bus.topic, [GROUP])
        return bus

    async def test_publish_subscribe(self, declared: Bus) -> None:
        sent = [event(f"key {n % 7}", n, size=n) for n in range(100)] + [event("", 100), event("ключ", 101)]
        await declared.publish(sent)
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has(sent)
        assert sorted(recorder.handled, key=number_of) == sorted(sent, key=number_of)

    async def test_concurrent_subscribe(self, declared: Bus) -> None:
        recorders = [Recorder() for _ in range(3)]
        sent = [event(f"key {n % 50}", n) for n in range(500)]
        async with AsyncExitStack() as stack:
            for recorder in recorders:
                await stack.enter_async_context(declared.consuming(recorder))
            await declared.publish(sent)
            await _among(recorders, sent)
        assert sum(1 for recorder in recorders if recorder.handled) >= 1

    async def test_resend_on_error(self, declared: Bus) -> None:
        tries = Counter[str]()

        def fails_at_first(event: Event) -> None:
            tries[event.id] += 1
            if tries[event.id] < 3 and number_of(event) == 1:
                raise ValueError("not yet")

        recorder = Recorder(fails_at_first)
        sent = run_of("a", range(3))
        async with declared.consuming(recorder):
            await declared.publish(sent)
            await recorder.has(sent)
        assert [number_of(event) for event in recorder.began] == [0, 1, 1, 1, 2]

    async def test_no_ack(self, declared: Bus) -> None:
        open_again = asyncio.Event()

        async def stuck(event: Event) -> None:
            if event.key == "stuck" and number_of(event) == 0:
                await open_again.wait()

        first, second = Recorder(stuck), Recorder(stuck)
        held, others = run_of("stuck", range(3)), run_of("free", range(20))
        async with declared.consuming(first), declared.consuming(second):
            await declared.publish(held + others)
            await _among([first, second], others)
            begun = [event for event in [*first.began, *second.began] if event.key == "stuck"]
            assert {number_of(event) for event in begun} <= {0}
            open_again.set()
            await _among([first, second], held)

    async def test_continue_after_subscribe_close(self, declared: Bus) -> None:
        sent = [event(f"key {n % 10}", n) for n in range(200)]
        await declared.publish(sent)
        handled: list[Event] = []
        while {one.id for one in sent} - {one.id for one in handled}:
            recorder = Recorder()
            async with declared.consuming(recorder):
                missing = len({one.id for one in sent} - {one.id for one in handled})
                wanted = min(40, missing)
                known = {one.id for one in handled}
                await recorder.until(lambda: len(set(recorder.ids) - known) >= wanted)  # noqa: B023
            handled += recorder.handled
        for key in {one.key for one in sent}:
            assert never_back_of(handled, key), key

    async def test_concurrent_close(self, declared: Bus) -> None:
        sent = [event(f"key {n % 20}", n) for n in range(300)]
        recorders = [Recorder() for _ in range(5)]
        async with AsyncExitStack() as stack:
            for recorder in recorders:
                await stack.enter_async_context(declared.consuming(recorder))
            await declared.publish(sent[:150])
            # All leave at the same time, in the middle of their work.
        await declared.publish(sent[150:])
        last = Recorder()
        async with declared.consuming(last):
            await _among([*recorders, last], sent)

    async def test_continue_after_errors(self, declared: Bus) -> None:
        failed: set[str] = set()

        def once(event: Event) -> None:
            if event.id not in failed:
                failed.add(event.id)
                raise RuntimeError("the first time always fails")

        recorder = Recorder(once)
        sent = [event(f"key {n % 10}", n) for n in range(30)]
        async with declared.consuming(recorder):
            await declared.publish(sent)
            await recorder.has(sent)
        assert len(failed) == len(sent)

    async def test_in_order(self, declared: Bus) -> None:
        random = Random(1)
        handled: list[Event] = []

        async def dawdle(event: Event) -> None:
            await asyncio.sleep(random.random() / 500)
            handled.append(event)

        recorders = [Recorder(dawdle) for _ in range(3)]
        sent = [event(f"key {n % 20}", n // 20) for n in range(600)]
        async with AsyncExitStack() as stack:
            for recorder in recorders:
                await stack.enter_async_context(declared.consuming(recorder))
            for start in range(0, len(sent), 60):
                await declared.publish(sent[start : start + 60])
            await _among(recorders, sent)
        for key in {one.key for one in sent}:
            assert never_back_of(handled, key), key

    async def test_publisher_close(self, declared: Bus) -> None:
        publisher = declared.connect()
        sent = [event(f"key {n % 10}", n) for n in range(500)]
        publishing = asyncio.create_task(publisher.publish(declared.topic, sent))
        await asyncio.sleep(0)
        await publisher.close()
        try:
            results = await publishing
        except BrokerUnavailable:
            results = []
        stored = {result.event_id for result in results}
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has([one for one in sent if one.id in stored])

    async def test_topic(self, declared: Bus) -> None:
        other = f"{declared.topic}-b"
        await declared.connect().declare(other, [GROUP])
        here, there = Recorder(), Recorder()
        mine, theirs = run_of("a", range(5)), run_of("a", range(10, 15))
        async with declared.consuming(here), declared.consuming(there, topic=other):
            await declared.publish(mine)
            await declared.publish(theirs, topic=other)
            await here.has(mine)
            await there.has(theirs)
        assert here.numbers() == {"a": [0, 1, 2, 3, 4]}
        assert there.numbers() == {"a": [10, 11, 12, 13, 14]}

    async def test_consumer_groups(self, bus: Bus) -> None:
        groups = [GROUP, "product/index", "analytics/revenue"]
        await bus.connect().declare(bus.topic, groups)
        sent = [event(f"key {n % 5}", n) for n in range(50)]
        await bus.publish(sent)
        for group in groups:
            recorder = Recorder()
            async with bus.consuming(recorder, group):
                await recorder.has(sent)

    async def test_passes_over_other_types(self, declared: Bus) -> None:
        broker, recorder, wanted = declared.connect(), Recorder(), "test.v1.Wanted"
        sent = [event("a", number, type_name=wanted if number % 3 == 0 else "test.v1.Other") for number in range(31)]
        await declared.publish(sent)
        async with declared.consuming(recorder, types={wanted}):
            # The last one is wanted, so that none comes behind what was handled.
            await recorder.until(lambda: len(recorder.handled) == 11)
            # One that ends just now may not say any more what it has handled, and then that comes again.
            await eventually(lambda: empty(broker, declared.topic), PATIENCE)
        assert recorder.numbers() == {"a": list(range(0, 31, 3))}
        everything = Recorder()
        async with declared.consuming(everything):
            await declared.publish(run_of("a", [31]))
            await everything.until(lambda: bool(everything.handled))
        # What was passed over was acknowledged, so it does not come again.
        assert everything.numbers() == {"a": [31]}

    async def test_new_subscriber_receives_old_messages(self, declared: Bus) -> None:
        broker = declared.connect()
        if why := (await broker.inspect()).replays:
            pytest.skip(f"not given: {why}")
        sent = run_of("a", range(10))
        await declared.publish(sent)
        await broker.declare(declared.topic, ["late/comer"])
        recorder = Recorder()
        async with declared.consuming(recorder, "late/comer"):
            await recorder.has(sent)
        assert recorder.numbers() == {"a": list(range(10))}

    async def test_declaring_again_changes_nothing(self, declared: Bus) -> None:
        sent = run_of("a", range(10))
        await declared.publish(sent)
        await declared.connect().declare(declared.topic, [GROUP, "product/index"])
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has(sent)

    async def test_backlog(self, declared: Bus) -> None:
        broker = declared.connect()
        assert await broker.backlog(declared.topic, GROUP) == 0
        sent = run_of("a", range(10))
        await declared.publish(sent)
        assert await broker.backlog(declared.topic, GROUP) == 10
        recorder = Recorder()
        async with declared.consuming(recorder):
            await recorder.has(sent)
            await eventually(lambda: empty(broker, declared.topic), PATIENCE)


async def empty(broker: Broker, topic: str) -> bool:
    """Whether the group has nothing to handle."""
    return await broker.backlog(topic, GROUP) == 0


async def _among(recorders: list[Recorder], sent: list[Event]) -> None:
    """Waits until these events were handled, each by one of the recorders at least."""
    wanted = {event.id for event in sent}

    def all_handled() -> bool:
        return wanted <= {one for recorder in recorders for one in recorder.ids}

    async with asyncio.timeout(PATIENCE):
        while not all_handled():
            waits = [asyncio.create_task(recorder.until(all_handled)) for recorder in recorders]
            _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in pending:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def never_back_of(handled: list[Event], key: str) -> bool:
    """Whether the events of a key were handled in order; repeats after a consumer ended are allowed."""
    numbers = [number_of(one) for one in handled if one.key == key]
    step = min((b - a for a, b in pairwise(sorted(set(numbers)))), default=1)
    return never_back([number // step for number in numbers])
