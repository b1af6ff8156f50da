"""The registry suite over a real etcd, and what only etcd can do."""

import shutil
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from souk.discovery.availability import Availability
from souk.discovery.external.backend import WatchFeed
from souk.discovery.external.etcd import EtcdBackend
from souk.discovery.external.url_options import options_of
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance, Registry
from souk.kernel.clock import SystemClock
from souk.testing.registry.claims_suite import ClaimSuite
from souk.testing.registry.engines import EngineHarness, etcd
from souk.testing.registry.harness import eventually, opened, watching
from souk.testing.registry.suite import RegistrySuite, order

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("etcd")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with etcd(tmp_path_factory.mktemp("etcd")) as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


async def call(harness: EngineHarness, path: str, **body: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(f"{harness.api}/v3/{path}", json=body)).raise_for_status().json()


def key(service: str, name: str) -> str:
    return b64encode(f"/souk/services/{service}/{name}".encode()).decode()


@asynccontextmanager
async def authenticating(harness: EngineHarness) -> AsyncIterator[str]:
    """Starts etcd with users; gives the URL of one who may do everything."""
    await call(harness, "auth/user/add", name="root", password="a/b")
    await call(harness, "auth/role/add", name="root")
    await call(harness, "auth/user/grant", user="root", role="root")
    await call(harness, "auth/enable")
    try:
        yield harness.url.replace("//", "//root:a%2Fb@")
    finally:
        token = (await call(harness, "auth/authenticate", name="root", password="a/b"))["token"]
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": token}) as client:
            (await client.post(f"{harness.api}/v3/auth/disable", json={})).raise_for_status()
        await call(harness, "auth/user/delete", name="root")
        await call(harness, "auth/role/delete", role="root")


class TestEtcd(RegistrySuite, ClaimSuite):
    async def remove(self, harness: EngineHarness, instance: Instance) -> None:
        await call(harness, "kv/deleterange", key=key(instance.service, instance.id))

    async def register_as_others_do(self, harness: EngineHarness, service: str) -> Instance:
        value = f'{{"service": "{service}", "id": "go-1", "address": "10.0.0.1:9000", "zone": "eu"}}'
        await call(harness, "kv/put", key=key(service, "other"), value=b64encode(b"not JSON").decode())
        await call(harness, "kv/put", key=key(service, "go-1"), value=b64encode(value.encode()).decode())
        return Instance(service, "go-1", "10.0.0.1:9000", zone="eu")

    async def test_a_lease_that_was_revoked_is_granted_anew(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            await announcer.register(order(service))
            await watcher.knows(order(service))
            found = await call(harness, "kv/range", key=key(service, order(service).id))
            await call(harness, "lease/revoke", ID=found["kvs"][0]["lease"])
            await watcher.until(lambda it: bool(it.left))
            await watcher.knows(order(service))

    async def test_a_revision_that_was_compacted_makes_a_watch_list_again(
        self, harness: EngineHarness, announcer: Registry, service: str
    ) -> None:
        registration = await announcer.register(order(service))
        await registration.update(order(service, 2))
        now = (await call(harness, "kv/range", key=key(service, "")))["header"]["revision"]
        await call(harness, "kv/compaction", revision=now)
        backend = EtcdBackend(options_of(urlsplit(harness.url), 2379, "/souk"))
        hearing = WatchFeed(lambda known: None, Availability(()), SystemClock(), 1.0)
        span = {"key": key(service, ""), "range_end": key(service, "~"), "start_revision": 1}
        await backend._watch(span, {}, hearing)
        await backend.close()

    async def test_an_etcd_that_lost_its_data_empties_nobody_s_list(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            await announcer.register(order(service))
            await watcher.knows(order(service))
            await harness.stop()
            assert harness.engine is not None
            shutil.rmtree(harness.engine.folder / "data")
            await harness.start()
            await eventually(lambda: registry.away == "")
            async with opened(harness) as later, watching(later, service) as another:
                await another.knows(order(service))
            await harness.settled()
            assert watcher.left == []

    async def test_with_a_password_also_after_a_restart_that_forgets_tokens(
        self, harness: EngineHarness, service: str
    ) -> None:
        async with authenticating(harness) as url:
            registry = await open_registry(url, SystemClock())
            async with watching(registry, service) as watcher:
                await registry.register(order(service))
                await watcher.knows(order(service))
                await harness.stop()
                await harness.start()
                await eventually(lambda: registry.away == "")
                await registry.register(order(service, 2))
                await watcher.knows(order(service), order(service, 2))
            await registry.close()
            wrong = await open_registry(url.replace("a%2Fb", "wrong"), SystemClock())
            async with watching(wrong, service):
                await eventually(lambda: wrong.away != "")
                assert "wrong" not in wrong.away
            await wrong.close()
