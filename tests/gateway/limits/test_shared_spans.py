"""What a rate limit asks Redis is in the trace of the request that waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from redis.asyncio import Redis

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.shared.quotas import SharedQuotas
from souk.gateway.limits.store import Wanted
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.testing.recorded_spans import RecordedSpans
from souk.testing.valkey import ValkeyServer
from tests.gateway.limits.test_limited_answers import FEW
from tests.gateway.limits.test_shared import PATIENT, TEN, TWO

pytestmark = pytest.mark.xdist_group("valkey")

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-aaaa2f3577b34da6a3ce929d0e0e4736-aaaa67aa0ba902b7-01"
UNSAMPLED = f"{SAMPLED[:-1]}0"


@pytest.fixture
async def redis(valkey_server: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of an empty server, without time limits."""
    async with Redis.from_url(valkey_server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
async def quotas(redis: Redis, spans: RecordedSpans) -> AsyncIterator[SharedQuotas]:
    quotas = traced(redis, spans)
    yield quotas
    await quotas.close()


def traced(redis: Redis, spans: RecordedSpans) -> SharedQuotas:
    """Makes a store whose spans of traces that are not sampled are kept as well."""
    tracer = spans.tracer("gateway")
    tracer._unsampled = spans
    return SharedQuotas(redis, SystemClock(), PATIENT, tracer)


async def asked(quotas: SharedQuotas, trace: str, *wanted: Wanted) -> bool:
    """Sends a request of a trace; returns whether it waited for Redis."""
    found = quotas.take(wanted)
    if not isinstance(found, Awaitable):
        return False
    with use(CallContext(traceparent=trace)):
        await found
    return True


async def test_who_waits_has_a_span_and_who_does_not_has_none(quotas: SharedQuotas, spans: RecordedSpans) -> None:
    assert await asked(quotas, SAMPLED, (TWO, "u"), (TEN, "u"))
    (span,) = spans.ended
    assert (span.kind.name, span.name, span.parent_id) == ("CLIENT", "EVALSHA", SAMPLED[36:52])
    about = span.attributes
    assert (about["db.system.name"], about["db.operation.name"]) == ("redis", "EVALSHA")
    assert about["server.address"]
    assert about["souk.limits"] == ["two", "ten"]
    while await asked(quotas, SAMPLED, (TWO, "u")):  # until none is left
        pass
    asked_for = len(spans.ended)
    for _ in range(10):
        assert not await asked(quotas, SAMPLED, (TWO, "u"))
    assert len(spans.ended) == asked_for


async def test_each_of_those_that_are_asked_together_is_in_its_own_trace(
    quotas: SharedQuotas, spans: RecordedSpans
) -> None:
    first, second = (TEN, "a"), (TEN, "b")
    await asyncio.gather(asked(quotas, SAMPLED, first), asked(quotas, OTHER, second))
    found = {one.trace_id: one.attributes.get("db.operation.batch.size") for one in spans.ended}
    assert found == {SAMPLED[3:35]: 2, OTHER[3:35]: 2}


@pytest.mark.parametrize("trace", ["", UNSAMPLED])
async def test_a_usual_one_of_no_sampled_trace_is_not_recorded(
    quotas: SharedQuotas, spans: RecordedSpans, trace: str
) -> None:
    assert await asked(quotas, trace, (TEN, "u"))
    assert spans.ended == []


async def test_one_that_fails_is_recorded_in_any_trace(spans: RecordedSpans) -> None:
    async with Redis.from_url("unix:///nowhere/at/all.sock") as away:
        quotas = traced(away, spans)
        assert await asked(quotas, UNSAMPLED, (TEN, "u"))
        await quotas.close()
    (span,) = spans.ended
    assert (span.error, span.reason) == ("ConnectionError", "failed")
    assert span.attributes["server.address"] == "/nowhere/at/all.sock"


async def test_it_is_below_the_span_of_the_request(world: Any, redis: Redis, spans: RecordedSpans) -> None:
    quotas = SharedQuotas(redis, world.clock, PATIENT, spans.tracer("gateway"))
    world.remake(RateLimits.of(FEW, quotas, LimitMode.ENFORCE))
    world.gateway._tracer = spans.tracer("gateway")
    assert (await world.send("GET", "/api/v1/products")).status == 200
    await quotas.close()
    edge = "gateway SERVER GET /api/v1/products", "gateway CLIENT EVALSHA"
    assert edge in spans.edges(), spans.edges()
