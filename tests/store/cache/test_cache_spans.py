"""What a cache asks of Redis is in the trace of the reader who waits for it."""

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from redis.asyncio import Redis

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, current, use
from souk.store.cache.read_cache import ReadCache
from souk.testing.recorded_spans import RecordedSpans
from souk.testing.valkey import redis, valkey_server

__all__ = ["redis", "valkey_server"]

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_miss_is_two_commands_and_a_hit_of_a_replica_is_one(redis: Redis) -> None:
    spans, loaded = RecordedSpans(), []

    async def load() -> StringValue:
        loaded.append(current().traceparent)
        return StringValue(value="x")

    for _ in range(2):  # two replicas
        cache = ReadCache("product", SystemClock(), redis, alone=False, tracer=spans.tracer("product"))
        await cache.refresh()
        with use(CallContext(traceparent=PARENT)):
            for _ in range(3):
                await cache.read(b"key", StringValue, load)
    assert loaded == [PARENT]
    assert [(one.name, one.attributes.get("souk.cache.hit")) for one in spans.ended] == [
        ("GET", False),
        ("SET", None),
        ("GET", True),
    ]
    for one in spans.ended:
        assert (one.kind.name, one.parent_id, one.attributes["db.system.name"]) == ("CLIENT", PARENT[36:52], "redis")
        assert one.attributes["db.operation.name"] == one.name
        assert one.attributes["server.address"]


async def test_memory_is_no_server(redis: Redis) -> None:
    spans = RecordedSpans()
    cache = ReadCache("product", SystemClock(), None, alone=True, tracer=spans.tracer("product"))

    async def load() -> StringValue:
        return StringValue(value="x")

    with use(CallContext(traceparent=PARENT)):
        await cache.read(b"key", StringValue, load)
        await cache.changed()
    assert spans.ended == []


async def test_a_server_that_is_away_is_an_error_and_the_reader_gets_an_answer(redis: Redis) -> None:
    spans = RecordedSpans()
    away = Redis.from_url("unix:///nowhere/at/all.sock")
    cache = ReadCache("product", SystemClock(), away, alone=False, tracer=spans.tracer("product"))
    with use(CallContext(traceparent=PARENT)):
        await cache.changed()
    (span,) = spans.ended
    assert (span.name, span.error, span.reason) == ("SET", "ConnectionError", "failed")
    assert span.attributes["server.address"] == "/nowhere/at/all.sock"
    await away.aclose()


@pytest.mark.parametrize("sampled", ["0", "1"])
async def test_whoever_is_not_sampled_pays_for_no_span(redis: Redis, sampled: str) -> None:
    spans = RecordedSpans()
    cache = ReadCache("product", SystemClock(), redis, alone=False, tracer=spans.tracer("product"))
    with use(CallContext(traceparent=PARENT[:-1] + sampled)):
        await cache.changed()
    assert len(spans.ended) == int(sampled)
