"""Finds the definitions of sagas that the services of this code have, without a running system.

Each service is built on an empty database of its own in a temporary folder, with the defaults of its settings and
channels that lead nowhere. What it does at work is not started.
"""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc.aio

from souk.faults import INERT
from souk.hosting.hosted_service import AssemblyContext, hosted
from souk.kernel.clock import Clock
from souk.runtime.config.settings import DataSettings
from souk.runtime.service import Service
from souk.saga.versions import SagaVersions

NOWHERE = "unix:nowhere"


async def saga_versions(services: Iterable[Service], clock: Clock) -> dict[str, SagaVersions]:
    """Returns the definitions by service. Raises ConfigurationError when a service cannot be built."""
    found: dict[str, SagaVersions] = {}
    with TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            channel = grpc.aio.insecure_channel(NOWHERE)
            stack.push_async_callback(channel.close)
            assembly = _assembly(Path(folder), clock, channel)
            for service in services:
                one = await stack.enter_async_context(hosted(service, assembly))
                if one.parts.sagas is not None:
                    found[service.name] = one.parts.sagas.versions
    return found


def _assembly(folder: Path, clock: Clock, channel: grpc.aio.Channel) -> AssemblyContext:
    def channels(caller: str) -> Callable[[str], grpc.aio.Channel]:
        return lambda callee: channel

    return AssemblyContext(DataSettings(folder), {}, clock, INERT, "definitions", channels, b"none")
