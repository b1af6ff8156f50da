"""DNS as a registry, against dnsmasq: the conformance suite, and what only DNS has."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from souk.discovery.external.dns import open as open_dns
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance, checked
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.testing.free_ports import free_port
from souk.testing.registry.harness import PATIENCE, RegistryHarness, eventually, opened, watching
from souk.testing.registry.suite import RegistrySuite

PROGRAM = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
DOMAIN = "default.svc.cluster.local"

pytestmark = [
    pytest.mark.engines,
    pytest.mark.xdist_group("dns"),
    pytest.mark.skipif(PROGRAM is None, reason="dnsmasq is not installed (make test-engines installs it, as root)"),
]


@dataclass
class Dnsmasq(RegistryHarness):
    """A name server whose records change by a restart: it reads them only once."""

    lease: float = 1.0
    carries: frozenset[str] = frozenset({"weight"})
    registers: bool = False
    port: int = field(default_factory=free_port)
    records: dict[str, list[str]] = field(default_factory=dict)
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert PROGRAM is not None
        self.url = f"dns://127.0.0.1:{self.port}/{DOMAIN}"
        user = ["--user=root"] if os.geteuid() == 0 else []
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--pid-file="),
            *("--log-facility=/dev/null", "--bind-interfaces", "--listen-address=127.0.0.1", f"--port={self.port}"),
            *(f"--local=/{DOMAIN}/", "--edns-packet-max=512", *user),
            *(option for options in self.records.values() for option in options),
        )
        await asyncio.wait_for(self._answers(), PATIENCE)

    async def _answers(self) -> None:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.port
        while True:
            assert self._process is not None
            assert self._process.returncode is None, "dnsmasq has ended"
            try:
                await resolver.resolve(f"nobody.{DOMAIN}.", "A", lifetime=0.2)
            except dns.resolver.NXDOMAIN:
                return
            except (dns.exception.DNSException, OSError):
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    async def holds(self, name: str, *options: str) -> None:
        """Changes what it holds under a name, and nothing if it holds that already."""
        async with self._changing:
            if self.records.get(name, []) != [*options]:
                self.records[name] = [*options]
                await self.stop()
                await self.start()

    async def announcer(self) -> "Announcer":
        return Announcer(self)

    def target(self, instance: Instance) -> str:
        return f"{instance.id}.{instance.service}.{DOMAIN}".lower()

    def expected(self, instance: Instance) -> Instance:
        return replace(super().expected(instance), id=self.target(instance))

    async def put(self, instance: Instance) -> None:
        target, (host, _, port) = self.target(instance), instance.address.rpartition(":")
        name = f"_grpc._tcp.{instance.service}.{DOMAIN}"
        records = (f"--srv-host={name},{target},{port},0,{instance.weight}", f"--host-record={target},{host}")
        await self.holds(instance.id, *records)


class Announcer:
    """Registers by writing records; closing it leaves them, for it stands for whoever fills the zone."""

    away = ""

    def __init__(self, server: Dnsmasq) -> None:
        self._server = server

    async def register(self, instance: Instance) -> "Announced":
        await self._server.put(checked(instance))
        return Announced(self._server, instance)

    def watch(self, service: str) -> AsyncIterator[None]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Announced:
    def __init__(self, server: Dnsmasq, instance: Instance) -> None:
        self._server, self._instance, self._healthy = server, instance, True

    async def set_healthy(self, healthy: bool) -> None:
        self._healthy = healthy
        await self.update(self._instance)

    async def update(self, instance: Instance) -> None:
        self._instance = instance
        if self._healthy:
            await self._server.put(instance)
        else:
            await self.leave()

    async def leave(self) -> None:
        await self._server.holds(self._instance.id)


@pytest.fixture
async def harness() -> AsyncIterator[Dnsmasq]:
    harness = Dnsmasq()
    await harness.start()
    yield harness
    await harness.stop()


class TestDns(RegistrySuite):
    """The suite, over SRV records."""


SERVICE = "inventory-service"
SRV = f"_grpc._tcp.{SERVICE}.{DOMAIN}"


def addresses(*hosts: str) -> list[str]:
    return [f"--host-record={SERVICE}.{DOMAIN},{host},1" for host in hosts]


async def test_addresses_without_a_port_of_their_own(harness: Dnsmasq) -> None:
    await harness.holds(SERVICE, *addresses("127.0.0.1", "127.0.0.2"))
    registry = await open_registry(f"{harness.url}?port=50051&name={{service}}-service", SystemClock())
    async with watching(registry, "inventory") as watcher:
        await watcher.until(lambda it: len(it.known) == 2)
        assert [one.address for one in watcher.known.values()] == ["127.0.0.1:50051", "127.0.0.2:50051"]
        await harness.holds(SERVICE, *addresses("127.0.0.2", "127.0.0.3"))
        await watcher.until(lambda it: it.left == ["127.0.0.1-50051"] and "127.0.0.3-50051" in it.known)
    await registry.close()


async def test_addresses_of_the_newer_kind(harness: Dnsmasq) -> None:
    await harness.holds(SERVICE, *addresses("fd00::1"))
    registry = await open_registry(f"{harness.url}?port=50051", SystemClock())
    async with watching(registry, SERVICE) as watcher:
        await watcher.knows(Instance(SERVICE, "fd00--1-50051", "[fd00::1]:50051"))
    await registry.close()


async def test_a_record_without_an_address_is_nobody(harness: Dnsmasq) -> None:
    there, gone = f"--srv-host={SRV},a.{DOMAIN},1,0,1", f"--srv-host={SRV},b.{DOMAIN},2,0,1"
    await harness.holds(SERVICE, there, gone, f"--host-record=a.{DOMAIN},127.0.0.1")
    async with opened(harness) as registry, watching(registry, SERVICE) as watcher:
        await watcher.knows(Instance(SERVICE, f"a.{DOMAIN}", "127.0.0.1:1"))


async def test_two_ports_of_one_host_and_the_first_priority(harness: Dnsmasq) -> None:
    srv = [f"--srv-host={SRV},a.{DOMAIN},{port},{priority},0" for port, priority in ((1, 0), (2, 0), (3, 1))]
    await harness.holds(SERVICE, *srv, f"--host-record=a.{DOMAIN},127.0.0.1")
    async with opened(harness) as registry, watching(registry, SERVICE) as watcher:
        await watcher.knows(*(Instance(SERVICE, f"a.{DOMAIN}-{port}", f"127.0.0.1:{port}") for port in (1, 2)))


async def test_more_than_a_datagram_holds(harness: Dnsmasq) -> None:
    hosts = [f"pod-{number}.{SERVICE}.{DOMAIN}" for number in range(60)]
    srv = [f"--srv-host={SRV},{host},{number},0,1" for number, host in enumerate(hosts, 1)]
    await harness.holds(SERVICE, *srv, *(f"--host-record={host},127.0.0.1" for host in hosts))
    async with opened(harness) as registry, watching(registry, SERVICE) as watcher:
        await watcher.until(lambda it: it.known.keys() == set(hosts))


async def test_a_server_that_refuses_says_nothing(harness: Dnsmasq) -> None:
    """It is asked for a zone that it does not have: that is no answer, unlike the absence of a name."""
    registry = await open_registry(f"dns://127.0.0.1:{harness.port}/elsewhere.test?port=1", SystemClock())
    async with watching(registry, SERVICE) as watcher:
        await eventually(lambda: "REFUSED" in registry.away)
        assert watcher.changes == []
    await registry.close()


@pytest.mark.parametrize("url", ["dns://127.0.0.1", "dns:///d?prot=1", "dns:///d?port=x", "dns:///d?name={x}"])
async def test_an_url_that_is_wrong(url: str) -> None:
    with pytest.raises(ConfigurationError):
        await open_dns(urlsplit(url), SystemClock())
