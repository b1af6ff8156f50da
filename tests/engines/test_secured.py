"""Consul and etcd that want to know who asks: tokens, certificates of both sides, and what is said without them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from souk.discovery.open import open_registry
from souk.discovery.registry import Registry
from souk.kernel.clock import SystemClock
from souk.testing.certificates import Authority
from souk.testing.registry.harness import Watcher, eventually, watching
from souk.testing.registry.lease_suite import LeaseSuite
from souk.testing.registry.secured import Secured, secured_consul, secured_etcd
from souk.testing.registry.suite import WatchSuite, order

pytestmark = [
    pytest.mark.engines,
    pytest.mark.xdist_group("secured"),
    # httpcore leaves a connection to the garbage collector whose TLS handshake is cancelled by `close`.
    pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning"),
]

NOBODYS = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_consul(tmp_path_factory.mktemp("consul")) as harness:
        yield harness


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_etcd(tmp_path_factory.mktemp("etcd")) as harness:
        yield harness


@asynccontextmanager
async def who_asks(url: str, service: str) -> AsyncIterator[tuple[Registry, Watcher]]:
    """Opens a client at a URL; gives it, and what it learns of a service."""
    registry = await open_registry(url, SystemClock())
    try:
        async with watching(registry, service) as watcher:
            yield registry, watcher
    finally:
        await registry.close()


async def says(url: str, service: str, *words: str) -> None:
    """Checks that a client of that URL learns nothing, and reports why in one line without secrets."""
    async with who_asks(url, service) as (registry, watcher):
        await registry.register(order(service, 9))
        await eventually(lambda: all(word in registry.away for word in words))
        assert "\n" not in registry.away
        assert watcher.changes == []
        assert NOBODYS not in registry.away


class Suite(WatchSuite, LeaseSuite):
    """The tests of what every registry guarantees."""


class TestConsul(Suite):
    @pytest.fixture
    async def harness(self, consul: Secured) -> Secured:
        """A registry whose token has only the rights that the documentation asks for."""
        await consul.start()
        await consul.let_in()
        return consul

    async def test_a_token_that_nobody_knows(self, harness: Secured, service: str) -> None:
        await says(harness.with_token(NOBODYS), service, "refuses what the registry's URL has", "403", "ACL")

    async def test_no_token(self, harness: Secured, service: str, announcer: Registry) -> None:
        await announcer.register(order(service))
        await says(harness.with_token(""), service, "refuses a call without", "403 Forbidden: Permission denied")

    @pytest.mark.parametrize("rules", ['service_prefix "" { policy = "write" }', 'node_prefix "" { policy = "read" }'])
    async def test_a_token_that_sees_only_a_part(
        self, harness: Secured, service: str, announcer: Registry, rules: str
    ) -> None:
        """Consul answers it with less than there is, which does not mean that the others have left."""
        await announcer.register(order(service))
        async with who_asks(harness.with_token(await harness.token(rules)), service) as (registry, watcher):
            await eventually(lambda: "hides" in registry.away)
            assert watcher.changes == []

    async def test_nobody_has_left_when_the_token_is_taken_away(
        self, harness: Secured, service: str, announcer: Registry
    ) -> None:
        await announcer.register(order(service))
        token = await harness.token('service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }')
        async with who_asks(harness.with_token(token), service) as (registry, watcher):
            await watcher.knows(order(service))
            await harness.revoke(token)
            await announcer.register(order(service, 2))
            await eventually(lambda: "refuses what the registry's URL has" in registry.away)
            assert watcher.left == []

    async def test_who_shows_no_certificate(self, harness: Secured, service: str) -> None:
        await says(harness.without_certificate, service, "wants to see a certificate: cert=FILE")


class TestEtcd(Suite):
    @pytest.fixture
    async def harness(self, etcd: Secured) -> Secured:
        await etcd.start()
        return etcd

    async def test_who_shows_no_certificate(self, harness: Secured, service: str) -> None:
        await says(harness.without_certificate, service, "wants to see a certificate: cert=FILE")

    async def test_who_shows_a_certificate_of_others(
        self, harness: Secured, service: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        cert, key = Authority(tmp_path_factory.mktemp("others"), "others").issue("stranger")
        await says(f"{harness.without_certificate}&cert={cert}&key={key}", service, "does not take this certificate")

    async def test_an_etcd_whose_certificate_others_signed(
        self, harness: Secured, service: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        others = Authority(tmp_path_factory.mktemp("others"), "others")
        assert harness.authority is not None
        url = harness.url.replace(f"ca={harness.authority.ca}", f"ca={others.ca}")
        await says(url, service, "cannot be reached", "CERTIFICATE_VERIFY_FAILED")

    async def test_without_ca_it_is_not_believed(self, harness: Secured, service: str) -> None:
        assert harness.authority is not None
        url = harness.url.replace(f"ca={harness.authority.ca}&", "")
        await says(url, service, "cannot be reached", "CERTIFICATE_VERIFY_FAILED")

    async def test_a_certificate_and_its_key_in_one_file(self, harness: Secured, service: str) -> None:
        assert harness.authority is not None
        cert, key = harness.authority.issue("both")
        cert.write_bytes(cert.read_bytes() + key.read_bytes())
        async with who_asks(f"{harness.without_certificate}&cert={cert}", service) as (registry, watcher):
            await registry.register(order(service))
            await watcher.knows(order(service))
