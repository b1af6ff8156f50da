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

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from souk.kernel.addresses import LONGEST_PATH, socket_path
from souk.kernel.errors import ConfigurationError

LONGEST_TEXT = 512
"""Characters of one text in an instance: what Consul takes as a value of metadata."""

HEAVIEST = 1_000

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Instance:
    """One process that offers a service. `id` is its own among all; `address` is where it takes calls by gRPC:
    host:port, or unix:/absolute/path for those on the same machine.

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
    """An instance's registration, renewed until it leaves."""

    async def set_healthy(self, healthy: bool) -> None:
        """Whether it takes calls. It does, unless it says otherwise."""
        ...

    async def update(self, instance: Instance) -> None:
        """Says something else about the same instance; its id and service stay."""
        ...

    async def leave(self) -> None:
        """Leaves; returns when the registry knows, or has been away for a moment. May be repeated."""
        ...


class Registry(Protocol):
    """Where instances register and are looked for."""

    async def register(self, instance: Instance) -> Registration:
        """Announces an instance, and keeps its lease. Returns at once when the registry is away: it
        will be told as soon as it is back. Raises ConfigurationError for what it can never hold."""
        ...

    def watch(self, service: str) -> AsyncGenerator[Change, None]:
        """Changes among a service's instances, until the registry is closed; `aclose` ends the watch."""
        ...

    @property
    def away(self) -> str:
        """Why the registry cannot be reached at the moment, in a line; empty when it can."""
        ...

    async def close(self) -> None:
        """Leaves with every registration and ends every watch."""
        ...


def is_address(text: str) -> bool:
    """Whether it is host:port, or unix:/absolute/path that a socket can have."""
    path = socket_path(text)
    if path:
        return path.startswith("/") and path.isprintable() and len(path.encode()) <= LONGEST_PATH
    address = _ADDRESS.fullmatch(text)
    return address is not None and 0 < int(address[2]) < 65_536


def checked(instance: Instance) -> Instance:
    """The instance, if every registry can hold it. Raises ConfigurationError for one that none should."""
    wrong = next(_wrong(instance), "")
    if wrong:
        raise ConfigurationError(f"instance {instance.id!r} of {instance.service!r} cannot be registered: {wrong}")
    return instance


def _wrong(instance: Instance) -> Iterator[str]:
    names = {
        "service": instance.service,
        "id": instance.id,
        **{f"metadata {name!r}": name for name in instance.metadata},
    }
    for what, name in names.items():
        if not _NAME.fullmatch(name):
            yield f"{what} must be 1 to 128 ASCII letters, digits, '-', '_' or '.'"
    if not is_address(instance.address):
        yield f"address must be host:port or unix:/absolute/path, not {instance.address!r}"
    if not 1 <= instance.weight <= HEAVIEST:
        yield f"weight must be 1 to {HEAVIEST}, not {instance.weight}"
    texts = {"version": instance.version, "zone": instance.zone, **instance.metadata}
    for what, text in texts.items():
        if len(text) > LONGEST_TEXT or not text.isprintable():
            yield f"{what} must be at most {LONGEST_TEXT} printable characters"
