"""The port of discovery: which instances offer a service, and at which addresses.

Guarantees, the same for every adapter and proved by `souk.testing.registry.suite`:

- Every watcher of a service knows a registered instance until the instance leaves, is set to not
  healthy, or loses its lease because its process has died. A watcher knows it once, however often its lease
  is renewed or its registration is repeated under the same id.
- A watch begins with a `Joined` for each instance that is there, and then a `Listed`, once, also if nobody is
  there. Then it yields each change once, in order. Changes that follow each other closely may be yielded as one.
- While a registry is away a watch yields nothing: it goes on by itself, with back-off, and the known
  instances stay known (static stability). Changes meanwhile are yielded when the registry is back. A
  registration is renewed by itself as well, also when the registry has forgotten everything.
- Text in an instance comes back as it was given. Names and ids are ASCII letters, digits, `-`, `_`, `.`.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from souk.kernel.addresses import LONGEST_PATH, socket_path
from souk.kernel.errors import ConfigurationError

LONGEST_TEXT = 512
"""The most characters of one text in an instance: what Consul accepts as a value of metadata."""

HEAVIEST = 1_000

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Instance:
    """One process that offers a service. `id` is unique among all; `address` is where it takes calls by gRPC:
    host:port, or unix:/absolute/path for callers on the same machine.

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
    """An instance has another address, version, zone, weight or metadata, under the same id."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Left:
    """An instance must not be called any more."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Listed:
    """The registry has answered, and all instances that it lists have been yielded: until then nobody knows whether
    a service without an instance has none."""

    service: str


Change: TypeAlias = Joined | Changed | Left
WatchEvent: TypeAlias = Change | Listed


class Registration(Protocol):
    """An instance's registration, renewed until it leaves."""

    async def set_healthy(self, healthy: bool) -> None:
        """Sets whether the instance takes calls. At first it does."""
        ...

    async def update(self, instance: Instance) -> None:
        """Changes the instance's data; its id and service stay."""
        ...

    async def leave(self) -> None:
        """Withdraws the instance; returns when the registry knows, or has been away for a moment. May be repeated."""
        ...


class InstanceSource(Protocol):
    """What finds instances: all that a directory needs of a registry."""

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's instances until the registry is closed; `aclose` ends the watch."""
        ...

    @property
    def away(self) -> str:
        """Why the registry cannot be reached now, in one line; empty when it can."""
        ...


class Registry(InstanceSource, Protocol):
    """Registers instances, and watches the instances of services."""

    async def register(self, instance: Instance) -> Registration:
        """Announces an instance, and renews its lease. Returns at once when the registry is away, and announces the
        instance as soon as it is back. Raises ConfigurationError for an instance that it can never hold."""
        ...

    async def close(self) -> None:
        """Withdraws every registration and ends every watch."""
        ...


def is_name(text: str) -> bool:
    """Returns whether a text can be the name of a service."""
    return _NAME.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Returns whether a text is host:port, or unix:/absolute/path with a path that a socket can have."""
    path = socket_path(text)
    if path:
        return path.startswith("/") and path.isprintable() and len(path.encode()) <= LONGEST_PATH
    address = _ADDRESS.fullmatch(text)
    return address is not None and 0 < int(address[2]) < 65_536


def checked(instance: Instance) -> Instance:
    """Returns the instance if it is valid for the port. Raises ConfigurationError if it is not."""
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
