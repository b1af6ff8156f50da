"""The cache in front of a database: what it may answer, and what it must load anew."""

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from redis.exceptions import ConnectionError as RedisAwayError

from souk.kernel.errors import StoreUnavailable
from souk.store.cache.read_cache import CacheSettings, ReadCache
from souk.testing.clocks import FakeClock
from souk.testing.valkey import redis, valkey_server

__all__ = ["redis", "valkey_server"]

SETTINGS = CacheSettings(fresh=10.0, stale=100.0, lost=1_000.0, unsure=1.0, octets=64 * 1024)
KEY = b"key"


class Source:
    """A database that counts reads, can delay them, and can be away."""

    def __init__(self, text: str = "first") -> None:
        self.text, self.loads, self.away = text, 0, False
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> StringValue:
        self.loads += 1
        text = self.text  # as of now, however long the answer takes
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("the database is away")
        return StringValue(value=text)


class Memory:
    """Fakes the commands of Redis that the cache uses; `away` breaks the connection."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = False

    async def get(self, key: str) -> bytes | None:
        self._reach()
        return self.kept.get(key)

    async def set(self, key: str, value: str | bytes, nx: bool = False, get: bool = False, ex: int | None = None):
        self._reach()
        before = self.kept.get(key)
        if before is None or not nx:
            self.kept[key] = value if isinstance(value, bytes) else value.encode()
        return before if get else True

    def _reach(self) -> None:
        if self.away:
            raise RedisAwayError("connection refused")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> Source:
    return Source()


def cache_of(clock, redis=None, *, alone=False):
    return ReadCache("test", clock, redis, alone=alone or redis is None, settings=SETTINGS)


async def value(cache, source, key=KEY):
    return (await cache.read(key, StringValue, source.load)).value


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_fresh_is_not_loaded_again(clock, source):
    cache = cache_of(clock)
    assert [await value(cache, source) for _ in range(3)] == ["first"] * 3
    assert source.loads == 1


async def test_readers_who_come_at_once_wait_for_one_load(clock, source):
    cache = cache_of(clock)
    source.open.clear()
    readers = [asyncio.create_task(value(cache, source)) for _ in range(50)]
    await settled()
    readers[0].cancel()  # who began the load may go away
    await settled()
    source.open.set()
    assert [await reader for reader in readers[1:]] == ["first"] * 49
    assert source.loads == 1


async def test_what_is_stale_is_answered_at_once_and_loaded_anew(clock, source):
    cache = cache_of(clock)
    await value(cache, source)
    clock.advance(10.0)
    source.text = "second"
    source.open.clear()
    assert await value(cache, source) == "first"
    assert await value(cache, source) == "first"
    await settled()
    assert source.loads == 2
    source.open.set()
    await settled()
    assert await value(cache, source) == "second"


async def test_what_is_too_old_is_waited_for(clock, source):
    cache = cache_of(clock)
    await value(cache, source)
    clock.advance(100.0)
    source.text = "second"
    assert await value(cache, source) == "second"


async def test_after_a_change_nobody_gets_what_was_read_before(clock, source):
    cache = cache_of(clock)
    await value(cache, source)
    source.text = "second"
    await cache.changed()
    assert await value(cache, source) == "second"


async def test_a_load_that_began_before_a_change_is_not_for_those_who_come_after(clock, source):
    cache = cache_of(clock)
    source.open.clear()
    early = asyncio.create_task(value(cache, source))
    await settled()
    source.text = "second"
    await cache.changed()
    late = asyncio.create_task(value(cache, source))
    await settled()
    source.open.set()
    assert (await early, await late) == ("first", "second")
    assert await value(cache, source) == "second"


async def test_while_the_database_is_away_what_was_known_is_answered(clock, source):
    cache = cache_of(clock)
    await value(cache, source)
    source.away = True
    await cache.changed()
    assert await value(cache, source) == "first"
    clock.advance(999.0)
    assert await value(cache, source) == "first"
    clock.advance(2.0)
    with pytest.raises(StoreUnavailable):
        await value(cache, source)
    with pytest.raises(StoreUnavailable):
        await value(cache, source, b"another")


class TestReplicas:
    """Two processes, and Redis between them."""

    @pytest.fixture
    def redis(self):
        return Memory()

    @pytest.fixture
    async def caches(self, clock, redis):
        caches = [cache_of(clock, redis) for _ in range(2)]
        for cache in caches:
            await cache.refresh()
        return caches

    async def test_what_one_has_loaded_the_other_need_not(self, caches, source):
        assert [await value(cache, source) for cache in caches] == ["first", "first"]
        assert source.loads == 1

    async def test_a_change_at_one_is_known_at_the_other_after_a_look(self, caches, source):
        one, other = caches
        await value(other, source)
        source.text = "second"
        await one.changed()
        await other.refresh()
        assert await value(other, source) == "second"

    async def test_a_change_that_redis_missed_is_told_when_it_is_back(self, caches, source, redis, clock):
        one, other = caches
        await value(other, source)
        redis.away = True
        source.text = "second"
        await one.changed()
        redis.away = False
        await one.refresh()
        await other.refresh()
        assert await value(other, source) == "second"
        await one.refresh()
        assert await value(one, source) == "second"

    async def test_who_cannot_be_sure_loads_what_is_older_than_a_moment(self, caches, source, redis, clock):
        _, other = caches
        await value(other, source)
        redis.away = True
        clock.advance(0.9)
        assert (await value(other, source), source.loads) == ("first", 1)
        clock.advance(0.2)
        assert (await value(other, source), source.loads) == ("first", 2)

    async def test_an_emptied_redis_is_a_change(self, caches, source, redis):
        one, other = caches
        await value(one, source)
        source.text = "second"
        redis.kept.clear()
        await one.refresh()
        await other.refresh()
        await one.changed()
        await other.refresh()
        assert [await value(cache, source) for cache in caches] == ["second", "second"]

    async def test_garbage_in_redis_is_a_miss(self, caches, source, redis):
        one, other = caches
        await value(one, source)
        for key in redis.kept:
            if not key.endswith(":version"):
                redis.kept[key] = b"\xff" * 40
        assert await value(other, source) == "first"
        assert source.loads == 2

    async def test_the_version_of_another_change_is_not_taken_for_an_older_one(self, caches, source, redis):
        one, _ = caches
        await value(one, source)
        found = redis.kept["souk:cache:test:version"]
        looking = redis.set

        async def changed_meanwhile(*given, **more):
            answer = await looking(*given, **more)
            redis.set = looking
            source.text = "second"
            await one.changed()
            return answer

        redis.set = changed_meanwhile
        await one.refresh()
        assert redis.kept["souk:cache:test:version"] != found
        assert await value(one, source) == "second"


async def test_a_server_that_refuses_writes_gives_nothing_from_before_a_change(clock, source, redis):
    """A replica answers reads with what it has: no entry may be taken from it, as nobody can say what has changed."""
    one, other = cache_of(clock, redis), cache_of(clock, redis)
    await one.refresh()
    await other.refresh()
    assert [await value(cache, source) for cache in (one, other)] == ["first"] * 2
    assert source.loads == 1
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        source.text = "second"
        await one.changed()
        assert await value(one, source) == "second"
        for cache in (one, other, one, other):
            clock.advance(1.1)
            assert await value(cache, source) == "second"  # also before it looks at the version
            await cache.refresh()
    finally:
        await redis.execute_command("REPLICAOF", "NO", "ONE")
    clock.advance(1.1)
    await one.refresh()  # the change is told as soon as it can be
    await other.refresh()
    loads = source.loads
    assert [await value(cache, source) for cache in (one, other)] == ["second"] * 2
    assert source.loads <= loads + 1  # they share what was loaded again


async def test_a_server_without_enough_replicas_gives_nothing_from_before_a_change(clock, source, redis):
    one, other = cache_of(clock, redis), cache_of(clock, redis)
    await one.refresh()
    await other.refresh()
    assert [await value(cache, source) for cache in (one, other)] == ["first"] * 2
    await redis.config_set("min-replicas-to-write", "1")
    try:
        source.text = "second"
        await one.changed()
        for _ in range(2):
            clock.advance(1.1)
            assert await value(other, source) == "second"
            await other.refresh()
    finally:
        await redis.config_set("min-replicas-to-write", "0")


async def test_a_server_that_falls_back_to_an_older_version_is_told_of_the_change_again(clock, source):
    memory = Memory()
    one, other = cache_of(clock, memory), cache_of(clock, memory)
    await one.refresh()
    await other.refresh()
    before = dict(memory.kept)
    assert await value(other, source) == "first"
    source.text = "second"
    await one.changed()
    memory.kept.update(before)  # a replica that had not heard of it is the server now
    await one.refresh()
    await other.refresh()
    assert [await value(cache, source) for cache in (one, other)] == ["second"] * 2


async def test_a_flood_of_keys_is_bounded_by_octets(clock, source):
    settings = CacheSettings(octets=1 << 20)
    cache = ReadCache("test", clock, None, alone=True, settings=settings)
    source.text = "x" * 10_000
    for number in range(2_000):
        await value(cache, source, b"key-%d" % number * 100)
    loads = source.loads
    for number in range(2_000):
        await value(cache, source, b"key-%d" % number * 100)
    assert source.loads - loads >= 1_900  # at most 105 of them fit
