"""How the services of this process reach each other, and those of other processes.

A name that is hosted here is called in process; any other where the settings say that it listens.
Whoever calls cannot tell the difference.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import grpc.aio
from soukapi.v1 import event_pb2

from souk.events.consumer import EventSinkServicer
from souk.hosting.hosted import Hosted
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.rpc.caller_token import CallerTokens
from souk.rpc.channel import Channel
from souk.rpc.in_process import InProcess
from souk.rpc.server import Dispatcher
from souk.rpc.transport import Transport

EVENT_SINK = event_pb2.DESCRIPTOR.services_by_name["EventSink"]
GRACE = 5.0
"""Seconds that calls between services are given when the process stops; by then no request runs."""


class Calls:
    """The services `hosted` here, by name, and the `addresses` of others."""

    def __init__(self, secret: bytes, hosted: tuple[str, ...], addresses: Mapping[str, str], clock: Clock) -> None:
        self._secret = secret
        self._addresses = addresses
        self._clock = clock
        self._dispatchers = {name: Dispatcher(self._tokens(name), clock) for name in hosted}
        self._transports: dict[str, Transport] = {
            name: InProcess(dispatcher, clock) for name, dispatcher in self._dispatchers.items()
        }

    def of(self, caller: str) -> Callable[[str], grpc.aio.Channel]:
        """Channels in the name of `caller`. A name that is neither here nor elsewhere is a ConfigurationError."""
        tokens = self._tokens(caller)
        channels: dict[str, Channel] = {}

        def channel(name: str) -> Channel:
            if name not in channels:
                channels[name] = Channel(self._transport(name), tokens=tokens, clock=self._clock)
            return channels[name]

        return channel

    def serve(self, one: Hosted) -> Dispatcher:
        """Takes calls for a service from now on."""
        dispatcher = self._dispatchers[one.service.name]
        dispatcher.add(one.parts.servicer, one.service.contract)
        dispatcher.add(EventSinkServicer(one.parts.consumers, clock=self._clock), EVENT_SINK)
        return dispatcher

    def _tokens(self, service: str) -> CallerTokens:
        return CallerTokens(self._secret, service, self._clock)

    def _transport(self, name: str) -> Transport:
        if name not in self._transports:
            if name not in self._addresses:
                raise ConfigurationError(f"nobody says where the service {name!r} listens; name it in SOUK_ADDRESSES")
            raise ConfigurationError(f"services of other processes cannot be reached yet: {name!r}")
        return self._transports[name]

    async def close(self) -> None:
        """Lets running calls end, and takes no more."""
        for transport in self._transports.values():
            await transport.close(GRACE)


@asynccontextmanager
async def open_calls(
    secret: bytes, hosted: tuple[str, ...], addresses: Mapping[str, str], clock: Clock
) -> AsyncIterator[Calls]:
    """Calls among services, closed with the block."""
    calls = Calls(secret, hosted, addresses, clock)
    try:
        yield calls
    finally:
        await calls.close()
