"""The file of callers by certificate (SOUK_HTTP_CLIENT_CALLERS), read again when it changes while a gateway runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from souk.gateway.app import Gateway
from souk.gateway.auth.client_certificates import ClientCertificates
from souk.gateway.routing.live import EVERY, Signature, signature
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.certificate_callers import read_certificate_callers
from souk.runtime.process.background import supervised
from souk.telemetry.logs import logger

_log = logger("gateway")


class LiveCallers:
    """The file at `path`, whose callers it puts into force in `certificates`. A file that is wrong changes nothing."""

    def __init__(self, path: Path, certificates: ClientCertificates) -> None:
        self._path, self._certificates = path, certificates
        self._signature: Signature = None

    def start(self) -> None:
        """Puts the file into force. Raises ConfigurationError."""
        self._signature = signature(self._path)
        self._certificates.use(read_certificate_callers(self._path) or ())

    async def watch(self) -> None:
        """Reads the file again when it has changed and stays as it is for two looks, until it is cancelled."""
        last = self._signature
        while True:
            await asyncio.sleep(EVERY)
            now = await asyncio.to_thread(signature, self._path)
            if now == last and now not in (None, self._signature):
                self._signature = now
                await self._reload()
            last = now

    async def _reload(self) -> None:
        try:
            callers = await asyncio.to_thread(read_certificate_callers, self._path) or ()
        except ConfigurationError as error:
            _log.error("the callers by certificate are not changed; the old ones stay", error=str(error))
            return
        self._certificates.use(callers)
        _log.info("callers by certificate loaded", file=str(self._path), callers=len(callers))


@asynccontextmanager
async def live_callers(gateway: Gateway, path: Path | None, clock: Clock) -> AsyncIterator[None]:
    """Keeps the callers of a gateway as the file says, inside the block; without a file nothing happens.

    Raises ConfigurationError when the file is wrong at the start.
    """
    certificates = gateway.identity.certificates
    if path is None or certificates is None:
        yield
        return
    live = LiveCallers(path, certificates)
    live.start()
    async with supervised(clock) as background:
        background.start("callers by certificate", live.watch)
        yield
