"""Consul, etcd and Eureka where no real one has to stand: garbage, silence, and what only goes wrong at times."""

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from souk.discovery.availability import Availability
from souk.discovery.diff import Known
from souk.discovery.external.backend import WatchFeed
from souk.discovery.external.consul import doubtful, latest, next_index, raise_if_hidden
from souk.discovery.external.etcd import apply
from souk.discovery.external.http_api import Api
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import options_of
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.testing.clocks import FakeClock
from souk.testing.registry.harness import eventually, watching

SCHEMES = ("consul", "etcd", "eureka")
GARBAGE = {
    "no HTTP": b"220 mail.example.test ESMTP\r\n",
    "HTML": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
    "an error": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 17\r\n\r\nNo cluster leader",
    "not allowed": b"HTTP/1.1 403 Forbidden\r\ncontent-length: 17\r\n\r\nPermission denied",
    "half an answer": b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n[{",
    "other JSON": b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}',
    "nothing": b"",
}

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that answers every request in the same way and closes the connection, or never answers."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    over.set()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_a_registry_that_is_away(scheme: str, answer: bytes) -> None:
    async with answering(answer) as address:
        registry = await open_registry(f"{scheme}://user:secret@{address}", SystemClock())
        async with watching(registry, "order") as watcher:
            registration = await registry.register(Instance("order", "order-1", "127.0.0.1:1"))
            await eventually(lambda: registry.away != "")
            assert address in registry.away or "answers what it should not" in registry.away
            assert "secret" not in registry.away
            assert watcher.changes == []
            await registration.leave()
        await registry.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_one_that_says_nothing_holds_nobody_up(scheme: str) -> None:
    async with answering(None) as address:
        registry = await open_registry(f"{scheme}://{address}", SystemClock())
        async with asyncio.timeout(30):
            registration = await registry.register(Instance("order", "order-1", "127.0.0.1:1"))
            await registration.set_healthy(False)
            await registration.leave()
            await registry.close()


class TestSeveralAddresses:
    """What becomes of a call to the members of a cluster."""

    @pytest.fixture
    async def nobody(self) -> AsyncIterator[str]:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            yield f"127.0.0.1:{bound.getsockname()[1]}"

    async def call(self, api: Api) -> object:
        return (await api.call("GET", "/")).body

    async def test_one_that_cannot_be_reached_is_passed_over_within_the_call(self, nobody: str) -> None:
        async with answering(JSON) as address:
            api = Api("etcd", options_of(urlsplit(f"etcd://{nobody},{nobody},{address}"), 1))
            assert await self.call(api) == {}
            async with api.lines("/", None) as lines:
                assert await anext(lines) == "{}"
            await api.close()

    async def test_nobody_is_asked_twice_what_may_have_happened(self, nobody: str) -> None:
        async with answering(GARBAGE["an error"]) as failing, answering(JSON) as address:
            api = Api("etcd", options_of(urlsplit(f"etcd://{failing},{nobody},{address}"), 1))
            with pytest.raises(RegistryAway, match=f"{failing} answers 500"):
                await self.call(api)
            assert await self.call(api) == {}
            await api.close()

    async def test_a_call_that_fails_late_turns_nobody_back(self) -> None:
        async with answering(None) as silent, answering(GARBAGE["an error"]) as failing, answering(JSON) as third:
            api = Api("etcd", options_of(urlsplit(f"etcd://{silent},{failing},{third}"), 1))
            late = asyncio.ensure_future(api.call("GET", "/", patience=0.5))
            for reason in ("cannot be reached: ReadTimeout", "answers 500"):
                with pytest.raises(RegistryAway, match=reason):
                    await api.call("GET", "/", patience=0.05 if "Timeout" in reason else 5.0)
            with pytest.raises(RegistryAway, match="ReadTimeout"):
                await late
            assert await self.call(api) == {}
            await api.close()

    async def test_all_of_them_away(self, nobody: str) -> None:
        api = Api("etcd", options_of(urlsplit(f"etcd://{nobody},{nobody}"), 1))
        with pytest.raises(RegistryAway, match=f"etcd at {nobody} cannot be reached: .*failed"):
            await self.call(api)
        await api.close()


def test_consul_that_hides_what_there_is_is_away() -> None:
    raise_if_hidden({"X-Consul-Results-Filtered-By-ACLs": "false"})
    raise_if_hidden({})
    with pytest.raises(RegistryAway, match="service:read and node:read"):
        raise_if_hidden({"X-Consul-Results-Filtered-By-ACLs": "true"})


async def test_consul_refuses_text_that_is_too_long_for_it() -> None:
    registry = await open_registry("consul://127.0.0.1:1", SystemClock())
    with pytest.raises(ConfigurationError, match="longer than Consul can hold"):
        await registry.register(Instance("order", "order-1", "127.0.0.1:1", metadata={"a": "ü" * 512}))
    with pytest.raises(ConfigurationError, match="64 texts"):
        texts = {f"m{number}": "" for number in range(64)}
        await registry.register(Instance("order", "order-1", "127.0.0.1:1", metadata=texts))
    registration = await registry.register(Instance("order", "order-1", "127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match="zone"):
        await registration.update(Instance("order", "order-1", "127.0.0.1:1", zone="ü" * 512))
    await registry.close()


@pytest.mark.parametrize(
    ("before", "found", "after"), [(0, 7, 7), (7, 7, 7), (7, 9, 9), (9, 7, 0), (0, 0, 1), (5, 0, 0)]
)
def test_the_index_of_blocking_queries(before: int, found: int, after: int) -> None:
    assert next_index(before, {"X-Consul-Index": str(found)}) == after


def test_of_one_id_on_two_hosts_the_one_that_passes_counts() -> None:
    def entry(index: int, *checks: tuple[str, str]) -> dict[str, object]:
        return {
            "Service": {"ID": "a", "ModifyIndex": index},
            "Checks": [{"Status": status, "Notes": notes} for status, notes in checks],
        }

    passing, moved, own = (
        entry(5, ("passing", "")),
        entry(9, ("critical", "")),
        entry(9, ("critical", "says that it is not healthy")),
    )
    assert latest([passing, moved]) == [passing]
    assert latest([moved, entry(10, ("passing", ""))])[0]["Service"]["ModifyIndex"] == 10
    assert [doubtful(one) for one in (passing, moved, own)] == [False, True, False]


def test_etcd_values_that_others_wrote_are_passed_over() -> None:
    def put(key: str, value: str) -> dict[str, object]:
        return {"kv": {"key": key, "value": b64encode(value.encode()).decode()}}

    known: dict[str, Instance] = {}
    good = Instance("order", "order-1", "127.0.0.1:1")
    said = json.dumps({"service": "order", "id": "order-1", "address": "127.0.0.1:1"})
    apply([put("a", said), put("b", "not JSON"), put("c", '{"Addr": "x"}'), {"kv": {"key": "d"}}], known)
    assert known == {"a": good}
    apply([put("a", "[]")], known)
    assert known == {}
    apply([put("a", said), {"type": "DELETE", "kv": {"key": "a"}}], known)
    assert known == {}


class TestHearing:
    """What is believed of a registry that has just come back."""

    def feed(self) -> tuple[WatchFeed, FakeClock, list[Known]]:
        told: list[Known] = []
        clock = FakeClock()
        return WatchFeed(told.append, Availability(()), clock, 10.0), clock, told

    def test_one_that_is_missing_is_kept_until_it_must_have_registered_again(self) -> None:
        feed, clock, told = self.feed()
        one, two = (Instance("order", name, "127.0.0.1:1") for name in ("1", "2"))
        feed.receive([one, two])
        feed.forgot()
        feed.receive([])
        assert set(told[-1]) == {"1", "2"}
        assert 0 < feed.settles_in(25.0) <= 10.1
        clock.advance(5)
        feed.receive([two])
        feed.receive([])
        assert set(told[-1]) == {"1"}, "two was seen again, and has left"
        clock.advance(5)
        feed.receive([])
        assert set(told[-1]) == set()
        assert feed.settles_in(25.0) == 25.0

    def test_one_in_doubt_is_kept_as_long(self) -> None:
        feed, clock, told = self.feed()
        one = Instance("order", "1", "127.0.0.1:1")
        feed.receive([one])
        feed.forgot()
        feed.receive([one])
        feed.receive([], in_doubt=["1", "never-seen"])
        assert set(told[-1]) == {"1"}
        clock.advance(10)
        feed.receive([], in_doubt=["1"])
        assert set(told[-1]) == set()
