"""Registers a process in the registry once it takes calls, and removes it before it stops taking them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

from souk.discovery.registry import Instance, Registry
from souk.runtime.config.settings import DiscoverySettings

LEAVING = 0.3
"""Seconds between leaving the registry and taking no more calls, for callers that learn of it late."""


def instance_id(service: str, settings: DiscoverySettings) -> str:
    """Gives this process's id in the registry: that in the settings, or a random one that begins with the service."""
    return settings.instance or f"{service}-{uuid4().hex[:12]}"


@asynccontextmanager
async def present(
    discovery: Registry, service: str, id_: str, address: str, settings: DiscoverySettings, speaks: Mapping[str, str]
) -> AsyncIterator[Instance]:
    """Registers this instance inside the block. `speaks` has the port or socket of each protocol besides gRPC."""
    instance = Instance(
        service=service,
        id=id_,
        address=address,
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
            await asyncio.sleep(LEAVING)
