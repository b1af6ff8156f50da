"""The lanes of a consumer: order for each key, limits, and an end after which no handler runs."""

import asyncio
from collections.abc import Callable

import pytest
from soukapi.v1.event_pb2 import Event

from souk.events.key_lanes import KeyLanes, LaneSettings
from souk.resilience.backoff import Backoff

AT_ONCE = Backoff(0.0, 0.0)


class Gate:
    """A handler that waits until its events are let through, and records what began and ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.done: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        self.began.append(event.id)
        await self.open.wait()

    def ended(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def event(name: str, size: int = 0) -> Event:
    """An event whose key is the first letter of its name."""
    return Event(id=name, key=name[0], payload=b"x" * size)


async def test_keys_run_beside_each_other_and_each_in_order() -> None:
    gate = Gate()
    async with KeyLanes(gate) as lanes:
        for name in ("a1", "b1", "a2", "b2"):
            lanes.submit(event(name), gate.ended(name))
        await settled()
        assert gate.began == ["a1", "b1"]
        gate.open.set()
        await settled()
        assert gate.began == ["a1", "b1", "a2", "b2"]
        assert sorted(gate.done) == ["a1", "a2", "b1", "b2"]
        assert lanes.in_hand == 0


async def test_other_types_are_passed_over_and_what_is_no_event_is_not() -> None:
    gate = Gate()
    async with KeyLanes(gate, types={"wanted"}) as lanes:
        for name, type_name in (("a1", "wanted"), ("a2", "other"), ("a3", "")):
            lanes.submit(Event(id=name, key="a", type=type_name), gate.ended(name))
        assert gate.done == ["a2"]
        gate.open.set()
        await settled()
        assert gate.began == ["a1", "a3"]


async def test_one_that_fails_is_handed_over_again_before_the_next_of_its_key() -> None:
    began: list[str] = []

    async def fails_twice(event: Event) -> None:
        began.append(event.id)
        if began.count("a1") < 3 and event.id == "a1":
            raise ValueError

    done: list[str] = []
    async with KeyLanes(fails_twice, LaneSettings(backoff=AT_ONCE)) as lanes:
        lanes.submit(event("a1"), lambda: done.append("a1"))
        lanes.submit(event("a2"), lambda: done.append("a2"))
        async with asyncio.timeout(30):
            while len(done) < 2:
                await asyncio.sleep(0)
    assert began == ["a1", "a1", "a1", "a2"]


@pytest.mark.parametrize("settings", [LaneSettings(events=2), LaneSettings(octets=20)])
async def test_no_more_than_the_limit_is_in_hand(settings: LaneSettings) -> None:
    gate = Gate()
    async with KeyLanes(gate, settings) as lanes:
        for name in ("a1", "b1"):
            await lanes.room()
            lanes.submit(event(name, 10), gate.ended(name))
        assert not lanes.has_room
        waiting = asyncio.create_task(lanes.room())
        await settled()
        assert not waiting.done()
        gate.open.set()
        async with asyncio.timeout(30):
            await waiting


async def test_so_many_handlers_run_at_once_and_one_that_pauses_is_none_of_them() -> None:
    gate = Gate()

    async def handle(event: Event) -> None:
        if event.key == "f":
            raise ValueError
        await gate(event)

    async with KeyLanes(handle, LaneSettings(at_once=1, backoff=Backoff(60, 60, jitter=0))) as lanes:
        for name in ("f1", "a1", "b1"):
            lanes.submit(event(name), gate.ended(name))
        await settled()
        assert gate.began == ["a1"]


async def test_what_is_taken_back_runs_no_more_and_is_never_done() -> None:
    gate = Gate()
    async with KeyLanes(gate) as lanes:
        lanes.submit(event("a1"), gate.ended("a1"), tag=1)
        lanes.submit(event("a2"), gate.ended("a2"), tag=1)
        lanes.submit(event("b1"), gate.ended("b1"), tag=2)
        await lanes.take_back({1})  # before their handlers took their first step
        assert lanes.in_hand == 1
        lanes.submit(event("a1"), gate.ended("a1 again"), tag=1)
        await settled()
        assert gate.began == ["b1", "a1"]
        gate.open.set()
        await settled()
        assert gate.done == ["b1", "a1 again"]


async def test_the_end_waits_for_every_handler() -> None:
    ended: list[str] = []

    async def slow_to_end(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(event.id)

    async with KeyLanes(slow_to_end) as lanes:
        lanes.submit(event("a1"), lambda: ended.append("done"))
        await settled()
    assert ended == ["a1"]
    assert lanes.in_hand == 0


async def test_a_key_with_two_tags_is_taken_back_by_each_alone() -> None:
    gate = Gate()
    async with KeyLanes(gate) as lanes:
        lanes.submit(event("a1"), gate.ended("a1"), tag=1)
        lanes.submit(event("a2"), gate.ended("a2"), tag=2)
        await settled()
        await lanes.take_back({1})
        assert lanes.in_hand == 1
        gate.open.set()
        await settled()
        assert gate.done == ["a2"]


@pytest.mark.parametrize("ends_with", [None, ValueError])
async def test_a_handler_that_makes_something_else_of_its_end_ends_all_the_same(
    ends_with: type[Exception] | None,
) -> None:
    began, done = list[str](), list[str]()

    async def stubborn(event: Event) -> None:
        began.append(event.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ends_with is not None:
                raise ends_with from None

    async with asyncio.timeout(30), KeyLanes(stubborn, LaneSettings(backoff=AT_ONCE)) as lanes:
        for name in ("a1", "a2"):
            lanes.submit(event(name), lambda: done.append("done"))
        await settled()
    assert began == ["a1"]
    assert done == []
