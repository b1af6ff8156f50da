"""The registry that comes with Souk under the conformance suite, over a unix socket and over TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from souk.discovery.embedded_server import EmbeddedRegistry, EmbeddedSettings, serving_registry
from souk.testing.registry_harness import RegistryHarness
from souk.testing.registry_suite import RegistrySuite

LEASE, GRACE = 0.6, 3.0


@dataclass
class Embedded(RegistryHarness):
    where: Path | str = ""
    lease: float = LEASE
    _serving: AbstractAsyncContextManager[EmbeddedRegistry] | None = None

    async def start(self) -> None:
        self._serving = serving_registry(self.where, settings=EmbeddedSettings(LEASE, GRACE))
        self.url = (await self._serving.__aenter__()).url
        if isinstance(self.where, str):
            self.where = self.url.removeprefix("grpc://")

    async def settled(self) -> None:
        await asyncio.sleep(1.1 * GRACE)

    async def stop(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.__aexit__(None, None, None)


class TestUnixSocket(RegistrySuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Embedded]:
        harness = Embedded(where=tmp_path / "r.sock")
        await harness.start()
        yield harness
        await harness.stop()


class TestTcp(RegistrySuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Embedded]:
        harness = Embedded(where="127.0.0.1:0")
        await harness.start()
        yield harness
        await harness.stop()
