"""One service, opened by a command without the system around it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import grpc.aio

from souk.faults import INERT
from souk.hosting.data_directory import make
from souk.hosting.hosted import Ground, Hosted, hosted
from souk.hosting.service import Service
from souk.hosting.settings import from_environment
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError


@asynccontextmanager
async def offline(service: Service, data: Path | None) -> AsyncIterator[Hosted]:
    """Opens the service's part of a data directory, of the one in the settings unless said.

    It reaches no other service, and nothing works in the background. Raises ConfigurationError when
    a running system has the directory.
    """
    settings = from_environment({"data": data})
    make(settings.data)
    ground = Ground(settings, SystemClock(), INERT, f"souk-{service.name}", _alone)
    async with hosted(service, ground) as opened:
        yield opened


def _alone(caller: str) -> Callable[[str], grpc.aio.Channel]:
    def channel(name: str) -> NoReturn:
        raise ConfigurationError(f"this command runs alone and cannot reach {name}")

    return channel
