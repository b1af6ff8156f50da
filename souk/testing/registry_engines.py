"""The real Consul, etcd and Eureka as the registry suite needs them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from souk.testing.engines import EngineProcess, engine_path, free_port
from souk.testing.registry_harness import RegistryHarness


@dataclass
class EngineHarness(RegistryHarness):
    """A registry that is a process of its own; killed, not ended, and started on the same port again."""

    engine: EngineProcess | None = None
    grace: float = 3.0
    """The seconds after a restart in which the adapter keeps what the registry does not know yet."""

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
        """The beginning of the URLs of the engine's own API."""
        assert self.engine is not None
        return self.engine.url.split("/", 3)[0] + "//" + self.engine.url.split("/", 3)[2]


@contextmanager
def consul(folder: Path, *mode: str) -> Iterator[EngineHarness]:
    """Consul as one server with its data in a folder, or as `mode` says."""
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
    yield from _killed(EngineHarness(f"consul://127.0.0.1:{http}?lease=2", 4.0, engine=engine, grace=22.0))


@contextmanager
def etcd(folder: Path) -> Iterator[EngineHarness]:
    """etcd as one member with its data in a folder."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    engine = EngineProcess(
        (
            engine_path("etcd"),
            *("--name=souk", f"--data-dir={folder}/data", f"--initial-cluster=souk={peer}"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        ),
        f"{client}/health",
        folder,
        lambda answer: answer.is_success and '"true"' in answer.text,
    )
    # etcd gives no lease below 2 s.
    yield from _killed(EngineHarness(f"{client.replace('http', 'etcd', 1)}?lease=2", 4.0, engine=engine))


@contextmanager
def eureka(folder: Path) -> Iterator[EngineHarness]:
    """Eureka with intervals that suit a test."""
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
    yield from _killed(EngineHarness(f"eureka://127.0.0.1:{port}/eureka?lease=2&poll=0.2&settle=1", 6.0, engine=engine))


def _killed(harness: EngineHarness) -> Iterator[EngineHarness]:
    try:
        yield harness
    finally:
        assert harness.engine is not None
        harness.engine.kill()
