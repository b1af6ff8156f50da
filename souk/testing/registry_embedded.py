"""The registry that comes with Souk, for tests: started, stopped and started again where it was."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from souk.discovery.embedded.server import EmbeddedRegistry, EmbeddedSettings, serving_registry
from souk.testing.registry_harness import RegistryHarness

LEASE, GRACE = 0.6, 3.0


@dataclass
class EmbeddedHarness(RegistryHarness):
    """Serves at `where`: a path, or host:port, whose port 0 becomes the one that was given."""

    where: Path | str = ""
    lease: float = LEASE
    secret: str = ""
    _serving: AbstractAsyncContextManager[EmbeddedRegistry] | None = None

    async def start(self) -> None:
        """Starts one that knows nobody."""
        settings = EmbeddedSettings(LEASE, GRACE)
        self._serving = serving_registry(self.where, settings=settings, secret=self.secret)
        self.url = (await self._serving.__aenter__()).url
        if isinstance(self.where, str):
            self.where = self.url.rpartition("@")[2]

    async def settled(self) -> None:
        """Waits until it is not young any more."""
        await asyncio.sleep(1.1 * GRACE)  # a grace is time, and nobody tells when it is over

    async def stop(self) -> None:
        """Stops it at once."""
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.__aexit__(None, None, None)
