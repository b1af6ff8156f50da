"""One service, opened by a command without the system around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from souk.faults import INERT
from souk.hosting.data_directory import make
from souk.hosting.hosted import Ground, Hosted, hosted
from souk.hosting.service import Service
from souk.hosting.settings import from_environment
from souk.kernel.clock import SystemClock
from souk.rpc.channel import Channel
from souk.rpc.remote import Remote


@asynccontextmanager
async def offline(service: Service, data: Path | None) -> AsyncIterator[Hosted]:
    """Opens the service's part of a data directory, of the one in the settings unless said.

    Its calls to other services are not sent, and nothing works in the background. Raises
    ConfigurationError when a running system has the directory.
    """
    settings, clock = from_environment({"data": data}), SystemClock()
    make(settings.data)
    nowhere = Remote(tuple, clock)
    ground = Ground(settings, clock, INERT, f"souk-{service.name}", lambda caller: lambda name: Channel(nowhere))
    try:
        async with hosted(service, ground) as opened:
            yield opened
    finally:
        await nowhere.close(0)
