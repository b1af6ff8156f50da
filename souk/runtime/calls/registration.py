"""A process's place among the others: it joins once it takes calls, and leaves before it stops taking them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

from souk.discovery.registry import Instance, Registry
from souk.runtime.config.settings import Settings

LEAVING = 0.3
"""Seconds between leaving the registry and taking no more calls: whoever heard of it late still gets an answer."""


def instance_id(service: str, settings: Settings) -> str:
    """This process's name among all."""
    return settings.instance or f"{service}-{uuid4().hex[:12]}"


@asynccontextmanager
async def present(
    discovery: Registry, service: str, id_: str, address: str, settings: Settings, speaks: Mapping[str, str]
) -> AsyncIterator[Instance]:
    """Found by others inside the block. `speaks` are the ports or sockets of other protocols by their names."""
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
