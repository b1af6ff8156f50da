"""The client of the embedded registry, over one connection for all watches and registrations.

unix:/run/souk/registry.sock   grpc://:SECRET@127.0.0.1:7100
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote

import grpc
import grpc.aio
from soukapi.v1.registry_pb2 import WatchRequest
from soukapi.v1.registry_pb2_grpc import RegistryStub

from souk.discovery.availability import Availability
from souk.discovery.diff import Memory
from souk.discovery.embedded.registration import EmbeddedRegistration, from_wire
from souk.discovery.embedded.secret import secret_in, secret_metadata
from souk.discovery.registry import Instance, WatchEvent, checked
from souk.discovery.watch_fanout import Publish, Watches
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

SILENCE = 10.0
"""Seconds without a message after which the registry counts as away; it repeats its messages more often."""

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


class EmbeddedRegistryClient:
    """The port's `Registry` over the contract `soukapi.v1.Registry`; every call carries the `secret`, if it is set."""

    def __init__(self, target: str, silence: float = SILENCE, secret: str = "") -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._stub: Any = RegistryStub(self._channel)
        self._silence = silence
        self._metadata = secret_metadata(secret)
        self._availability = Availability((grpc.aio.AioRpcError, TimeoutError, ConnectionError), _line)
        self._watches = Watches(self._follow)
        self._registrations: list[EmbeddedRegistration] = []

    @property
    def away(self) -> str:
        """Why the registry cannot be reached; empty when it can."""
        return self._availability.away

    async def register(self, instance: Instance) -> EmbeddedRegistration:
        """Announces an instance; returns once the registry knows it, or was found to be away."""
        begin = partial(self._stub.Register, metadata=self._metadata)
        registration = EmbeddedRegistration(checked(instance), begin, self._availability, self._silence)
        self._registrations = [one for one in self._registrations if not one.left] + [registration]
        await registration.announced()
        return registration

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's instances."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Withdraws every registration and ends every watch."""
        await asyncio.gather(*(one.leave() for one in self._registrations))
        await self._watches.close()
        await self._channel.close()

    async def _follow(self, service: str, publish: Publish) -> None:
        await self._availability.keep(partial(self._listen, service, publish, Memory()))

    async def _listen(self, service: str, publish: Publish, memory: Memory) -> None:
        call = self._stub.Watch(WatchRequest(service=service), metadata=self._metadata)
        try:
            while True:
                async with asyncio.timeout(self._silence):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    raise ConnectionError("the registry has stopped")
                self._availability.found()
                known = memory.receive(answer.life, answer.settled, map(from_wire, answer.instances))
                if known or answer.settled:  # one that has just started cannot say that nobody is there
                    publish(known)
        finally:
            call.cancel()


def _line(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return "the registry does not answer" if isinstance(error, TimeoutError) else str(error)


async def open(url: SplitResult, clock: Clock) -> EmbeddedRegistryClient:  # noqa: A001 - an adapter's `open`
    """Opens `unix:PATH` or `grpc://:SECRET@host:port`; does not wait for a connection."""
    target = f"unix:{_quoted(url)}" if url.scheme == "unix" else url.netloc.rpartition("@")[2]
    if target in ("", "unix:"):
        raise ConfigurationError("the registry's URL must be unix:PATH or grpc://host:port")
    return EmbeddedRegistryClient(target, secret=secret_in(url))


def _quoted(url: SplitResult) -> str:
    """Returns the path of a socket, quoted as gRPC needs it, also if the URL is not quoted."""
    path = "".join((url.path, url.query and f"?{url.query}", url.fragment and f"#{url.fragment}"))
    return quote(path, safe="/%")
