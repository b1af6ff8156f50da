"""The port of discovery: who offers a service, and where.

Guarantees, the same for every adapter and proved by `souk.testing.registry_suite`:

- An instance that registered is seen by every watcher of its service until it leaves, says that it is
  not healthy, or its lease runs out because its process has died. It is seen once, whatever the number
  of leases that were renewed or registrations that were repeated under its id.
- A watch begins with a `Joined` for each instance that is there, and then tells of each change once, in
  order. Changes that follow each other closely may be told as one.
- A registry that goes away tells nothing: a watch goes on by itself, with back-off, and what was known
  stays known (static stability). What changed meanwhile is told when it is back. A registration is
  renewed by itself as well, also when the registry has forgotten everything.
- Text in an instance comes back as it was given. Names and ids are ASCII letters, digits, `-`, `_`, `.`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Instance:
    """One process that offers a service. `id` is its own among all; `address` is host:port for gRPC.

    `weight` is its share of calls beside others, 1 to 1,000. `metadata` is short text, such as the
    port of another protocol.
    """

    service: str
    id: str
    address: str
    version: str = ""
    zone: str = ""
    weight: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Joined:
    """An instance takes calls from now on."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Changed:
    """An instance goes on under the same id, with another address, version, zone, weight or metadata."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Left:
    """An instance must not be called any more."""

    instance: Instance


Change: TypeAlias = Joined | Changed | Left


class Registration(Protocol):
    """An instance's place in the registry, renewed until it leaves."""

    async def set_healthy(self, healthy: bool) -> None:
        """Whether it takes calls. It does, unless it says otherwise."""
        ...

    async def update(self, instance: Instance) -> None:
        """Says something else about the same instance; its id and service stay."""
        ...

    async def leave(self) -> None:
        """Gives the place up; returns when the registry knows, or has been away for a moment. May be repeated."""
        ...


class Registry(Protocol):
    """Where instances register and are looked for."""

    async def register(self, instance: Instance) -> Registration:
        """Announces an instance, and keeps its lease. Returns at once when the registry is away: it
        will be told as soon as it is back. Raises ConfigurationError for what it can never hold."""
        ...

    def watch(self, service: str) -> AsyncIterator[Change]:
        """Changes among a service's instances, for ever; closing the iterator ends the watch."""
        ...

    @property
    def away(self) -> str:
        """Why the registry cannot be reached at the moment, in a line; empty when it can."""
        ...

    async def close(self) -> None:
        """Leaves with every registration and ends every watch."""
        ...
