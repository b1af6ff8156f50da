"""The registry that comes with Souk under the conformance suite, over a unix socket and over TCP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.testing.registry.embedded import EmbeddedHarness
from souk.testing.registry.suite import RegistrySuite


class TestUnixSocket(RegistrySuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[EmbeddedHarness]:
        harness = EmbeddedHarness(where=tmp_path / "r.sock")
        await harness.start()
        yield harness
        await harness.stop()


class TestUnixSocketWithASecret(RegistrySuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[EmbeddedHarness]:
        harness = EmbeddedHarness(where=tmp_path / "r.sock", secret="s/e:c@r,e t%")
        await harness.start()
        yield harness
        await harness.stop()


class TestTcp(RegistrySuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[EmbeddedHarness]:
        harness = EmbeddedHarness(where="127.0.0.1:0", secret="s/e:c@r,e t%")
        await harness.start()
        yield harness
        await harness.stop()
