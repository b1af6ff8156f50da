"""Registers a process in the registry once it takes calls, and removes it before it stops taking them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

from souk.discovery.registry import Instance, Registry
from souk.runtime.config.settings import DiscoverySettings
from souk.telemetry.traffic import Traffic

APPLICATION = "app"
"""The key in the metadata of an instance that is reached at its sidecar: where it listens itself."""
LEAVING = 0.3
"""Seconds without a new call, after an instance has left the registry, before it takes no more: callers learn late."""
LONGEST_LEAVING = 3.0
"""Seconds after which it takes no more although calls still come, from callers who do not learn of it."""


def instance_id(service: str, settings: DiscoverySettings) -> str:
    """Gives this process's id in the registry: that in the settings, or a random one that begins with the service."""
    return settings.instance or f"{service}-{uuid4().hex[:12]}"


@asynccontextmanager
async def present(
    discovery: Registry,
    service: str,
    id_: str,
    address: str,
    settings: DiscoverySettings,
    speaks: Mapping[str, str],
    traffic: Traffic,
) -> AsyncIterator[Instance]:
    """Registers this instance inside the block. `speaks` has the port or socket of each protocol besides gRPC.

    When the block ends, it leaves the registry, and waits until no more calls come; `traffic` counts them.

    One with a sidecar is reached there, by gRPC alone, and the sidecar finds in the metadata where it listens itself.
    """
    if settings.advertise:
        speaks = {APPLICATION: address}
    instance = Instance(
        service=service,
        id=id_,
        address=settings.advertise or address,
        version=settings.version,
        zone=settings.zone,
        weight=settings.weight,
        metadata=dict(speaks),
    )
    registration = await discovery.register(instance)
    try:
        yield instance
    finally:
        await registration.leave()
        if settings.registry is not None:
            await _left_alone(traffic)


async def _left_alone(traffic: Traffic) -> None:
    """Waits until no call has begun for LEAVING seconds, or LONGEST_LEAVING are over."""
    loop = asyncio.get_running_loop()
    end, before = loop.time() + LONGEST_LEAVING, -1
    while (begun := traffic.begun) != before and loop.time() < end:
        before = begun
        await asyncio.sleep(LEAVING)
