"""Opens a registry by its URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Protocol, cast
from urllib.parse import SplitResult, urlsplit

from souk.discovery.directory import Directory
from souk.discovery.external.url_options import hosts_of
from souk.discovery.registry import Registry
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

ADAPTERS = {
    "unix": "embedded.client",
    "grpc": "embedded.client",
    "consul": "external.consul",
    "etcd": "external.etcd",
    "eureka": "external.eureka",
    "dns": "external.dns",
}
"""The module of `souk.discovery` for each scheme."""
CLUSTERS = ("etcd",)
"""Schemes whose URL may name several hosts."""


class _Adapter(Protocol):
    async def open(self, url: SplitResult, clock: Clock) -> Registry: ...


@asynccontextmanager
async def directory_of(url: str, clock: Clock) -> AsyncIterator[Directory]:
    """Gives a directory over the registry at `url`, as `open_registry`; both are closed when the block ends."""
    registry = await open_registry(url, clock)
    directory = Directory(registry, clock)
    try:
        yield directory
    finally:
        await directory.close()
        await registry.close()


async def open_registry(url: str, clock: Clock) -> Registry:
    """Opens the registry at `unix:PATH`, `grpc://host:port`, or an URL for consul, etcd, eureka or dns.

    Each adapter's module describes its URL. It does not wait for a connection: a registry that is away is found
    later. Raises ConfigurationError for an invalid URL, and when the packages of an adapter are not installed; the
    message quotes nothing that may be a password.
    """
    try:
        parts = urlsplit(url)
        hosts = hosts_of(parts)
    except ValueError:
        # The reason is not quoted either: if the password has a slash, it contains half of the password as the port.
        raise ConfigurationError(
            "what is given is not the URL of a registry: it must read scheme://host:port"
        ) from None
    if parts.scheme not in ADAPTERS:
        raise ConfigurationError(f"what is given is not the URL of a registry: it must begin with one of {_schemes()}")
    if len(hosts) > 1 and parts.scheme not in CLUSTERS:
        raise ConfigurationError(f"a registry at {parts.scheme}: has one address, and its URL names {len(hosts)}")
    return await _adapter(parts.scheme).open(parts, clock)


def _adapter(scheme: str) -> _Adapter:
    try:
        return cast(_Adapter, import_module(f"souk.discovery.{ADAPTERS[scheme]}"))
    except ModuleNotFoundError as error:
        hint = f"install souk-platform[{scheme}], which has {error.name}"
        raise ConfigurationError(f"a registry at {scheme}: needs a package that is not here: {hint}") from error


def _schemes() -> str:
    return ", ".join(f"{scheme}:" for scheme in ADAPTERS)
