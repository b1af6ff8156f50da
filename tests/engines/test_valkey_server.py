"""Valkey as tests start it when it has to keep its data: an answered write outlives a crash; a full one refuses."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import exceptions
from redis.asyncio import Redis

from souk.testing.servers.valkey import DurableValkeyServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("valkey")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableValkeyServer]:
    with DurableValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def valkey(server: DurableValkeyServer) -> DurableValkeyServer:
    await server.start()
    return server


@pytest.fixture
async def client(valkey: DurableValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def stream() -> str:
    return f"stream-{uuid.uuid4().hex}"


async def test_an_answered_write_outlives_a_crash(valkey: DurableValkeyServer, client: Redis, stream: str) -> None:
    entry = await client.xadd(stream, {"body": "kept"})
    valkey.kill()
    assert not valkey.running
    await valkey.start()
    async with Redis.from_url(valkey.url) as again:
        assert await again.xrange(stream) == [(entry, {b"body": b"kept"})]


async def test_it_goes_on_after_a_stop(valkey: DurableValkeyServer, client: Redis, stream: str) -> None:
    await client.xadd(stream, {"body": "kept"})
    await valkey.stop()
    await valkey.start()
    async with Redis.from_url(valkey.url) as again:
        assert await again.xlen(stream) == 1


async def test_a_paused_server_answers_nobody(valkey: DurableValkeyServer, stream: str) -> None:
    valkey.pause()
    async with Redis.from_url(valkey.url, socket_timeout=0.3, retry=None) as client:
        with pytest.raises(exceptions.TimeoutError):
            await client.ping()
    valkey.resume()
    async with Redis.from_url(valkey.url) as again:
        assert await again.ping()


async def test_a_full_server_refuses_writes_and_keeps_what_it_has(client: Redis, stream: str) -> None:
    await client.xadd(stream, {"body": "kept"})
    await client.config_set("maxmemory", 1)
    with pytest.raises(exceptions.OutOfMemoryError):
        await client.xadd(stream, {"body": "too much"})
    await client.config_set("maxmemory", 64 << 20)
    assert await client.xlen(stream) == 1
