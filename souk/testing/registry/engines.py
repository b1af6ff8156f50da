"""Real Consul, etcd and Eureka servers for the registry suite."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from souk.testing.engines import EngineProcess, engine_path
from souk.testing.free_ports import free_port
from souk.testing.registry.harness import RegistryHarness


@dataclass
class EngineHarness(RegistryHarness):
    """A registry in a process of its own; `stop` kills it, and `start` uses the same port again."""

    engine: EngineProcess | None = None
    grace: float = 3.0
    """Seconds after a restart during which the adapter keeps instances that the registry does not know yet."""

    async def settled(self) -> None:
        await asyncio.sleep(self.grace + 2.0)

    async def start(self) -> None:
        assert self.engine is not None
        await self.engine.start()

    async def stop(self) -> None:
        assert self.engine is not None
        self.engine.kill()

    @property
    def api(self) -> str:
        """The scheme, host and port of the engine's own API."""
        assert self.engine is not None
        return self.engine.url.split("/", 3)[0] + "//" + self.engine.url.split("/", 3)[2]


Engine = TypeVar("Engine", bound=EngineHarness)


def consul_process(folder: Path, *mode: str) -> tuple[EngineProcess, str]:
    """Makes a process of Consul, one server with its data in a folder unless `mode` is given; and its host:port."""
    http, rpc, serf = free_port(), free_port(), free_port()
    engine = EngineProcess(
        (
            engine_path("consul"),
            *("agent", *(mode or ("-server", "-bootstrap-expect=1", f"-data-dir={folder}/data"))),
            *("-node=souk", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", f"-http-port={http}"),
            *(f"-server-port={rpc}", f"-serf-lan-port={serf}", "-serf-wan-port=-1"),
            *("-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1"),
            *("-hcl=performance { raft_multiplier = 1 }", "-hcl=disable_update_check = true"),
        ),
        f"http://127.0.0.1:{http}/v1/status/leader",
        folder,
        lambda answer: answer.is_success and answer.text.strip() not in ("", '""'),
    )
    return engine, f"127.0.0.1:{http}"


@contextmanager
def consul(folder: Path, *mode: str) -> Iterator[EngineHarness]:
    """Runs Consul without access control."""
    engine, address = consul_process(folder, *mode)
    yield from killed(EngineHarness(f"consul://{address}?lease=2", 4.0, many=50, engine=engine, grace=22.0))


def etcd_process(
    folder: Path, client: str, peers: Mapping[str, str], *more: str, name: str = "souk", health: str = ""
) -> EngineProcess:
    """Makes a process of etcd, the member `name` of the cluster `peers`; `client` is the URL for its clients."""
    peer = peers[name]
    members = ",".join(f"{one}={url}" for one, url in peers.items())
    return EngineProcess(
        (
            engine_path("etcd"),
            *(f"--name={name}", f"--data-dir={folder}/data", f"--initial-cluster={members}"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", *more),
        ),
        f"{health or client}/health",
        folder,
        lambda answer: answer.is_success and '"true"' in answer.text,
    )


def free_url(scheme: str = "http") -> str:
    """Returns an URL on loopback with a free port."""
    return f"{scheme}://127.0.0.1:{free_port()}"


@contextmanager
def etcd(folder: Path) -> Iterator[EngineHarness]:
    """Runs etcd with one member, without access control."""
    client = free_url()
    engine = etcd_process(folder, client, {"souk": free_url()})
    # Each instance keeps its own lease alive: a busy machine is too slow for 150 instances, or for leases of 2 s.
    url = f"{client.replace('http', 'etcd', 1)}?lease=4"
    yield from killed(EngineHarness(url, 8.0, many=50, engine=engine, grace=5.0))


@contextmanager
def eureka(folder: Path) -> Iterator[EngineHarness]:
    """Runs Eureka with intervals that are short enough for tests."""
    port = free_port()
    server = {
        "enable-self-preservation": "false",
        "eviction-interval-timer-in-ms": "500",
        "response-cache-update-interval-ms": "100",
    }
    engine = EngineProcess(
        (
            *("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={folder}"),
            *("-jar", engine_path("eureka"), f"--server.port={port}", "--server.address=127.0.0.1"),
            *(f"--eureka.server.{name}={value}" for name, value in server.items()),
        ),
        f"http://127.0.0.1:{port}/eureka/apps",
        folder,
    )
    url = f"eureka://127.0.0.1:{port}/eureka?lease=2&poll=0.2&settle=1"
    # Each instance sends its own heartbeats, three in a lease: for 150 instances a busy machine is too slow.
    yield from killed(EngineHarness(url, 6.0, many=50, engine=engine))


def killed(harness: Engine) -> Iterator[Engine]:
    """Yields a harness, and kills its engine at the end."""
    try:
        yield harness
    finally:
        assert harness.engine is not None
        harness.engine.kill()
