"""Registers a process of an application, under its name and where gateways look for applications."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance, Registration, Registry
from souk.gateway.routing.announcement import ADOPTED, Announcement
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.registration import LEAVING

LOOKING = 0.5
"""Seconds for the registry to name who has the application's name already."""


async def require_free(
    service: str, application: str, taken: Collection[str], discovery: Registry, clock: Clock
) -> None:
    """Checks that a name is free, or that of other processes of the same `application` (MODULE:NAME).

    `taken` are the names of the system's own services. Raises ConfigurationError, in one line, otherwise.
    """
    if service in taken or service == ADOPTED:
        raise ConfigurationError(f"{service!r} is a service of the system; give the application a --name of its own")
    directory = Directory(discovery, clock)
    try:
        found = await directory.known(service, LOOKING)
    finally:
        await directory.close()
    for one in found:
        other = one.metadata.get(ADOPTED, "")
        if other != application:
            who = f"the application {other}" if other else "another service"
            raise ConfigurationError(f"{service!r} is the name of {who}, which runs; choose another with --name")


@asynccontextmanager
async def registered(
    discovery: Registry, instance: Instance, announcement: Announcement, control: str = ""
) -> AsyncIterator[None]:
    """Registers an instance inside the block, with the path of its control socket if it has one.

    When the block ends, callers get a moment to learn that it has left.
    """
    entries = [instance, announcement.registered(instance, control)]
    registrations: list[Registration] = []
    try:
        for one in entries:  # one after the other, so that those which were made are withdrawn when the next one fails
            registrations.append(await discovery.register(one))  # noqa: PERF401
        yield
    finally:
        await asyncio.gather(*(one.leave() for one in registrations))
        await asyncio.sleep(LEAVING)
