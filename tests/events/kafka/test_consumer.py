"""What a consumer does with its messages while partitions come and go, without a broker."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.kafka.consumer import KafkaConsumer
from souk.events.brokers.kafka.membership import Assignee
from souk.events.brokers.kafka.messages import headers_of
from souk.events.key_lanes import KeyLanes, LaneSettings
from souk.resilience.backoff import Backoff
from tests.properties import examples

PARTITIONS = 3


def message(partition: int, offset: int) -> Message:
    event = Event(id=f"{partition}/{offset}", type="t", source="s", key=f"{partition}-{offset % 2}")
    return Message("topic", partition, offset, event.key.encode(), b"", list(headers_of(event)))


class FakeGroup:
    """A topic with an endless log, and one member whose partitions are taken away and given back as a script says.

    A step of the script is the partitions that are revoked during a poll, and how many messages it then returns.
    """

    def __init__(self, script: Sequence[tuple[set[int], int]]) -> None:
        self.script = list(script)
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.fetched = dict(self.committed)
        self.paused_polls = 0
        self.ended = asyncio.Event()

    def join(self, assignee: Assignee) -> "FakeGroup":
        self.assignee = assignee
        return self

    async def poll(self, seconds: float, *, pause: bool, commit: Mapping[int, int]) -> list[Message]:
        self._commit(commit)
        if commit:
            self.assignee.committed(failed=False)
        await asyncio.sleep(0)
        if pause:
            self.paused_polls += 1
            return []
        if not self.script:
            self.ended.set()
            return []
        revoked, count = self.script.pop(0)
        if revoked:
            await self._revoke(revoked)
        return [self._next(number % PARTITIONS) for number in range(count)]

    async def leave(self, commit: Mapping[int, int]) -> None:
        self._commit(commit)

    async def _revoke(self, partitions: Collection[int]) -> None:
        self._commit(await self.assignee.take_back(partitions))
        for number in partitions:
            self.fetched[number] = self.committed[number]

    def _next(self, partition: int) -> Message:
        self.fetched[partition] += 1
        return message(partition, self.fetched[partition] - 1)

    def _commit(self, offsets: Mapping[int, int]) -> None:
        for number, offset in offsets.items():
            assert offset >= self.committed[number]
            self.committed[number] = offset


async def consumed(group: FakeGroup, handle: Callable[[Event], object], lanes: LaneSettings) -> None:
    """Consumes until the script has ended, and leaves."""

    async def handled(event: Event) -> None:
        await asyncio.sleep(0)
        handle(event)

    async with KeyLanes(handled, lanes) as open_lanes:
        task = asyncio.create_task(KafkaConsumer(open_lanes, group.join).run())
        await group.ended.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@settings(max_examples=examples(300))
@given(
    st.lists(st.tuples(st.sets(st.integers(0, PARTITIONS - 1)), st.integers(0, 8)), max_size=20),
    st.integers(1, 10),
)
def test_what_is_committed_was_handled_in_order(script: list[tuple[set[int], int]], most: int) -> None:
    handled: list[str] = []
    failed: set[str] = set()

    def handle(event: Event) -> None:
        if len(event.id) % 2 and event.id not in failed:
            failed.add(event.id)
            raise ValueError("the first time")
        handled.append(event.id)

    async def run() -> FakeGroup:
        group = FakeGroup(script)
        await consumed(group, handle, LaneSettings(events=most, backoff=Backoff(0.0, 0.0)))
        return group

    group = asyncio.run(run())
    for partition, position in group.committed.items():
        mine = [int(name.split("/")[1]) for name in handled if name.startswith(f"{partition}/")]
        assert set(range(position)) <= set(mine)
        for parity in (0, 1):
            first_times = list(dict.fromkeys(offset for offset in mine if offset % 2 == parity))
            assert first_times == sorted(first_times)


async def test_a_consumer_without_room_polls_on_and_asks_for_nothing() -> None:
    group, gate = FakeGroup([(set(), 6)]), asyncio.Event()

    async def handle(event: Event) -> None:
        await gate.wait()

    async with KeyLanes(handle, LaneSettings(events=2)) as lanes:
        task = asyncio.create_task(KafkaConsumer(lanes, group.join).run())
        while group.paused_polls < 2:
            await asyncio.sleep(0.01)
        assert lanes.in_hand == 2
        assert not group.ended.is_set()
        gate.set()
        await group.ended.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert group.committed == {0: 2, 1: 2, 2: 2}
