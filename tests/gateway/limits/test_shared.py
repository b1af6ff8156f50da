"""Limits shared in a real Valkey: the script, several gateways at once, and a server that is slow or away."""

import asyncio
import io
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

import pytest
import structlog
from redis.asyncio import Redis

from souk.descriptors.contract import RateClass
from souk.gateway.http.problem import Problem
from souk.gateway.limits.gcra import MICROSECONDS, Rate
from souk.gateway.limits.policy import CountedBy, LimitPolicy, WhenAway
from souk.gateway.limits.shared.questions import LEFT_ALONE
from souk.gateway.limits.shared.quotas import SharedQuotas
from souk.gateway.limits.shared.script import TAKE, redis_key
from souk.gateway.limits.shared.share import LIFETIME
from souk.gateway.limits.store import Quota, Wanted
from souk.kernel.clock import SystemClock
from souk.runtime.data.redis import open_redis
from souk.telemetry.logs import LogSettings, configure
from souk.testing.clocks import FakeClock
from souk.testing.valkey import ValkeyServer

pytestmark = pytest.mark.xdist_group("valkey")

HOUR = 3_600.0
PATIENT = 60.0
"""For tests of what Redis counts: a loaded machine may take its time."""


def policy(name: str, count: int, window: float = HOUR, when_away: WhenAway = WhenAway.LOCAL) -> LimitPolicy:
    return LimitPolicy(name, Rate(count, window), CountedBy.CALLER, frozenset({RateClass.READ}), when_away)


TEN, TWO = policy("ten", 10), policy("two", 2)
OPEN = policy("open", 1_000, when_away=WhenAway.OPEN)


async def taken(quotas: SharedQuotas, *wanted: Wanted) -> Sequence[Quota]:
    found = quotas.take(wanted)
    return await found if isinstance(found, Awaitable) else found


async def admitted(quotas: SharedQuotas, times: int, *wanted: Wanted) -> int:
    """Gives how many of so many requests were admitted, all at once."""
    answers = await asyncio.gather(*(taken(quotas, *wanted) for _ in range(times)))
    return sum(not any(quota.wait for quota in quotas) for quotas in answers)


async def ended(quotas: SharedQuotas) -> None:
    """Waits until no question is under way."""
    asking = quotas._questions._asking
    if asking is not None:
        await asyncio.wait({asking})


class Later(SystemClock):
    """A clock that a test moves forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
async def redis(valkey_server: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of an empty server, without time limits."""
    async with Redis.from_url(valkey_server.url) as client:
        await client.flushall()
        yield client


async def back(quotas: SharedQuotas, clock: Later) -> None:
    """Sends requests, a while apart, until Redis has been found again."""
    async with asyncio.timeout(PATIENT):
        while quotas.counts.away:
            clock.ahead += LEFT_ALONE
            await admitted(quotas, 1, (OPEN, "probe"))
            await ended(quotas)


@pytest.fixture
async def quotas(redis: Redis) -> AsyncIterator[SharedQuotas]:
    quotas = SharedQuotas(redis, FakeClock(), PATIENT)
    yield quotas
    await quotas.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    yield stream
    structlog.reset_defaults()


async def test_gateways_share_a_limit(redis: Redis) -> None:
    # Time stands still: what is taken ahead may be used for a quarter of a second, and a machine may stall for longer.
    clock = FakeClock()
    gateways = [SharedQuotas(redis, clock, PATIENT) for _ in range(5)]
    found = await asyncio.gather(*(admitted(one, 7, (TEN, "u")) for one in gateways))
    assert sum(found) == 10
    for one in gateways:
        await one.close()


async def test_a_request_that_one_limit_refuses_uses_up_no_other(redis: Redis, quotas: SharedQuotas) -> None:
    assert await admitted(quotas, 6, (TEN, "a"), (TWO, "u")) == 2
    other = SharedQuotas(redis, FakeClock(), PATIENT)
    assert await admitted(other, 20, (TEN, "a")) == 8
    await other.close()


async def test_requests_that_come_together_are_asked_for_together(quotas: SharedQuotas) -> None:
    wide = policy("wide", 1_000)
    assert await admitted(quotas, 200, (wide, "u")) == 200
    assert quotas.counts.questions <= 3


async def test_who_has_none_left_is_refused_without_a_question(quotas: SharedQuotas) -> None:
    await admitted(quotas, 3, (TWO, "u"))
    questions = quotas.counts.questions
    for _ in range(50):
        (quota,) = await taken(quotas, (TWO, "u"))
        assert (quota.remaining, 0 < quota.wait <= HOUR / 2) == (0, True)
    assert quotas.counts.questions == questions


async def test_what_remains_is_what_the_script_says(quotas: SharedQuotas) -> None:
    for left in range(9, -1, -1):
        (quota,) = await taken(quotas, (TEN, "u"))
        assert quota.remaining == left
        assert (9 - left) * HOUR / 10 < quota.reset <= (10 - left) * HOUR / 10


async def test_what_is_given_back_can_be_taken_again(quotas: SharedQuotas) -> None:
    for _ in range(12):
        (quota,) = await taken(quotas, (TEN, "u"))
        assert quota.wait == 0
        quotas.give_back([(TEN, "u")])
        await ended(quotas)


async def test_what_was_taken_ahead_and_is_not_used_comes_back(redis: Redis) -> None:
    clock, hundred = FakeClock(), policy("hundred", 100)
    quotas, other = (SharedQuotas(redis, one, PATIENT) for one in (clock, SystemClock()))
    for _ in range(30):
        await admitted(quotas, 1, (hundred, "u"))
    share = quotas._shares.of(hundred, "u", 0)
    assert share.cells > 0
    clock.advance(LIFETIME / MICROSECONDS)
    async with asyncio.timeout(PATIENT):
        while share.watched:
            await asyncio.sleep(0.01)
    await ended(quotas)
    assert await admitted(other, 100, (hundred, "u")) == 70
    for one in (quotas, other):
        await one.close()


async def test_a_request_that_goes_away_takes_no_others_answer_with_it(quotas: SharedQuotas) -> None:
    leaving = asyncio.create_task(admitted(quotas, 1, (TEN, "u")))
    await asyncio.sleep(0)
    staying = asyncio.create_task(admitted(quotas, 3, (TEN, "u")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 3
    assert quotas._shares.of(TEN, "u", 0).waiting == 0


async def test_a_server_clock_that_went_back_locks_nobody_out(redis: Redis) -> None:
    seconds, microseconds = await redis.time()
    key, now = redis_key("ten", "u"), seconds * 1_000_000 + microseconds
    await redis.set(key, now + 10**13)
    interval, capacity = TEN.rate.interval, TEN.rate.capacity
    script = redis.register_script(TAKE)
    assert await script([key], [1, 1, interval, capacity]) == [0, capacity]
    await redis.set(key, now - 10**13)
    assert await script([key], [99, 1, interval, capacity]) == [10, capacity]


async def test_a_key_is_kept_as_long_as_it_says_something(redis: Redis) -> None:
    key, rate = redis_key("ten", "u"), TEN.rate
    script = redis.register_script(TAKE)
    await script([key], [2, 1, rate.interval, rate.capacity])
    assert 0 < await redis.pttl(key) <= 2 * rate.interval / 1_000 + 1
    assert await script([key], [-5, 1, rate.interval, rate.capacity]) == [-5, 0]
    assert await redis.exists(key) == 0


@pytest.fixture
def own_server(valkey_server: ValkeyServer) -> Iterator[ValkeyServer]:
    """A server that a test may stop."""
    server = ValkeyServer(valkey_server._program)
    server.start()
    yield server
    server.remove()


async def test_without_a_server_each_policy_does_as_it_says(own_server: ValkeyServer, log: io.StringIO) -> None:
    local, closed = policy("local", 2), policy("closed", 2, when_away=WhenAway.CLOSED)
    clock = Later()
    async with open_redis(own_server.url) as client:
        assert client is not None
        quotas = SharedQuotas(client, clock)
        assert await admitted(quotas, 3, (local, "u")) == 2
        own_server.stop()
        assert await admitted(quotas, 5, (local, "v")) == 2
        assert await admitted(quotas, 5, (OPEN, "u")) == 5
        with pytest.raises(Problem) as raised:
            await taken(quotas, (OPEN, "u"), (closed, "u"))
        assert (raised.value.status, raised.value.code) == (503, "LIMITS_UNAVAILABLE")
        assert quotas.counts.away
        assert quotas.counts.without == {"local local": 5, "open open": 6, "closed closed": 1}
        own_server.start()
        await back(quotas, clock)
        assert (await taken(quotas, (closed, "u")))[0].remaining == 1
        await quotas.close()
    lines = [line for line in log.getvalue().splitlines() if "Redis" in line]
    assert [("unavailable" in line, "is back" in line) for line in lines] == [(True, False), (False, True)]


async def test_a_server_that_does_not_answer_holds_up_no_request(own_server: ValkeyServer) -> None:
    async with open_redis(own_server.url) as client:
        assert client is not None
        clock = Later()
        quotas = SharedQuotas(client, clock)
        assert await admitted(quotas, 1, (TWO, "u")) == 1
        assert own_server._process is not None
        own_server._process.send_signal(signal.SIGSTOP)
        assert await admitted(quotas, 5, (TWO, "v")) == 2
        assert quotas.counts.away
        assert not isinstance(quotas.take([(TWO, "w")]), Awaitable)
        own_server._process.send_signal(signal.SIGCONT)
        await ended(quotas)
        await back(quotas, clock)
        await quotas.close()


@pytest.mark.full
async def test_several_limits_are_on_one_node_of_a_cluster(valkey_server: ValkeyServer) -> None:
    server = ValkeyServer(valkey_server._program, {"cluster-enabled": "yes", "appendonly": "no"})
    server.start()
    try:
        async with open_redis(server.url) as client:
            assert client is not None
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(60):
                while b"cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                    await asyncio.sleep(0.05)
            quotas = SharedQuotas(client, SystemClock(), PATIENT)
            assert await admitted(quotas, 6, (TEN, "a"), (TWO, "u")) == 2
            assert not quotas.counts.away
            await quotas.close()
    finally:
        server.remove()


async def test_once_closed_it_asks_nothing_more(redis: Redis) -> None:
    clock = FakeClock()
    quotas = SharedQuotas(redis, clock, PATIENT)
    for _ in range(30):
        await admitted(quotas, 1, (policy("hundred", 100), "u"))
    await quotas.close()
    quotas.give_back([(TEN, "u")])
    assert await admitted(quotas, 12, (TEN, "u")) == 10  # counted here
    await ended(quotas)
    assert await redis.exists(redis_key("ten", "u")) == 0
