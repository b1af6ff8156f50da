"""The secret of the registry that comes with Souk: who has it registers and looks, and nobody else; nobody shows it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from soukapi.v1.registry_pb2 import RegisteredInstance, RegisterRequest, WatchRequest
from soukapi.v1.registry_pb2_grpc import RegistryStub

from souk.discovery.directory import Directory
from souk.discovery.embedded import secret as registry_secret
from souk.discovery.embedded.server import EmbeddedRegistry, serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.testing.registry.harness import PATIENCE, eventually, watching

SECRET = "what-nobody-guesses"
FALSE = Instance("order", "order-1", "10.6.6.6:1")


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with serving_registry("127.0.0.1:0", secret=SECRET) as registry:
        yield registry


@pytest.fixture
async def stub(registry: EmbeddedRegistry) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(registry.url.rpartition("@")[2]) as channel:
        yield RegistryStub(channel)


TOLD = {
    "nothing": ((), "the call has none"),
    "another": ((("authorization", "Bearer another"),), "not this registry's"),
    "a part": ((("authorization", f"Bearer {SECRET[:-1]}"),), "not this registry's"),
    "more": ((("authorization", f"Bearer {SECRET}!"),), "not this registry's"),
    "no kind": ((("authorization", SECRET),), "not this registry's"),
    "both": ((("authorization", f"Bearer {SECRET}"), ("authorization", "Bearer another")), "not this registry's"),
    "elsewhere": ((("x-authorization", f"Bearer {SECRET}"),), "the call has none"),
}


@pytest.mark.parametrize(("metadata", "said"), TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("method", ["Register", "Watch"])
async def test_nobody_else_is_let_in(
    registry: EmbeddedRegistry, stub: Any, method: str, metadata: Any, said: str
) -> None:
    call = stub.Watch(WatchRequest(service="order"), metadata=metadata)
    if method == "Register":
        instance = RegisteredInstance(service="order", id="order-1", address="10.6.6.6:1", weight=1)
        with suppress(grpc.aio.AioRpcError):  # the call may have ended by then, and gRPC forgets why
            await stub.Register(metadata=metadata).write(RegisterRequest(instance=instance, healthy=True))
        call = stub.Register(metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(call.read(), PATIENCE)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert said in (raised.value.details() or "")
    assert SECRET not in str(raised.value)
    assert registry.services() == ()


async def test_the_url_that_is_served_opens_it(registry: EmbeddedRegistry) -> None:
    client = await open_registry(registry.url, SystemClock())
    async with watching(client, "order") as watcher:
        await client.register(FALSE)
        assert registry.instances("order") == (FALSE,)
        await watcher.knows(FALSE)
        assert client.away == ""
    await client.close()


@pytest.mark.parametrize("wrong", ["", ":wrong@"])
async def test_a_client_without_it_says_what_is_wrong_in_one_line(
    registry: EmbeddedRegistry, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = await open_registry(registry.url, SystemClock())
    await own.register(Instance("order", "order-2", "127.0.0.1:2"))
    client = await open_registry(registry.url.replace(f":{SECRET}@", wrong), SystemClock())
    directory = Directory(client, SystemClock())
    async with watching(client, "order") as watcher:
        assert directory.instances("order") == ()
        await client.register(FALSE)
        await eventually(lambda: "secret" in client.away)
        said = "not this registry's" if wrong else "grpc://:SECRET@host:port"
        assert said in client.away
        assert "\n" not in client.away
        assert watcher.changes == []
    assert [instance.id for instance in registry.instances("order")] == ["order-2"]
    await directory.close()
    await client.close()
    await own.close()


async def test_a_port_is_never_served_without_one() -> None:
    async with serving_registry("127.0.0.1:0") as one, serving_registry("127.0.0.1:0") as other:
        secrets = [registry.url.removeprefix("grpc://:").partition("@")[0] for registry in (one, other)]
        assert min(map(len, secrets)) >= 32
        assert secrets[0] != secrets[1]
        client = await open_registry(f"grpc://{one.url.rpartition('@')[2]}", SystemClock())
        await client.register(FALSE)
        await eventually(lambda: "secret" in client.away)
        assert one.services() == ()
        await client.close()


async def test_a_socket_asks_for_one_where_it_is_given(tmp_path: Path) -> None:
    async with serving_registry(tmp_path / "r.sock", secret=SECRET) as registry:
        client = await open_registry(f"unix:{tmp_path / 'r.sock'}", SystemClock())
        await client.register(FALSE)
        await eventually(lambda: "secret" in client.away)
        assert registry.services() == ()
        await client.close()


async def test_it_is_not_in_the_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving_registry("127.0.0.1:0", secret=SECRET) as registry:
        client = await open_registry(registry.url, SystemClock())
        await client.register(FALSE)
        await client.close()
    said = "".join((*capfd.readouterr(), caplog.text))
    assert "registry serves" in said
    assert SECRET not in said


@pytest.mark.parametrize("secret", ["two\nlines", "ü", " leading"])
async def test_what_metadata_cannot_carry_is_no_secret(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        async with serving_registry("127.0.0.1:0", secret=secret):
            pass
    with pytest.raises(ConfigurationError, match="printable ASCII") as raised:
        await open_registry(f"grpc://{registry_secret.with_secret('127.0.0.1:1', secret)}", SystemClock())
    assert secret not in str(raised.value)
