"""The embedded registry for tests, which can be stopped and started again at the same address."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from souk.discovery.embedded.server import EmbeddedRegistry, EmbeddedSettings, serving_registry
from souk.testing.registry.harness import RegistryHarness

LEASE, GRACE = 0.6, 3.0


@dataclass
class EmbeddedHarness(RegistryHarness):
    """Serves the embedded registry at `where`: a path, or host:port; port 0 is replaced by the one assigned."""

    where: Path | str = ""
    lease: float = LEASE
    secret: str = ""
    _serving: AbstractAsyncContextManager[EmbeddedRegistry] | None = None

    async def start(self) -> None:
        """Starts a registry without any instance."""
        settings = EmbeddedSettings(LEASE, GRACE)
        self._serving = serving_registry(self.where, settings=settings, secret=self.secret)
        self.url = (await self._serving.__aenter__()).url
        if isinstance(self.where, str):
            self.where = self.url.rpartition("@")[2]

    async def settled(self) -> None:
        """Waits until its grace after a start is over."""
        await asyncio.sleep(1.1 * GRACE)  # nothing signals the end of the grace

    async def stop(self) -> None:
        """Stops it at once."""
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.__aexit__(None, None, None)
