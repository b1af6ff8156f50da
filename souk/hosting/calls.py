"""How the services of this process reach each other, and those of other processes.

A name that is hosted here is called in process; any other where the settings say that it listens.
Whoever calls cannot tell the difference.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc.aio
from prometheus_client import CollectorRegistry
from soukapi.v1 import event_pb2

from souk.events.consumer import EventSinkServicer
from souk.hosting.call_metrics import CallMetrics
from souk.hosting.hosted import Hosted
from souk.kernel.clock import Clock
from souk.resilience.breaker import Breaker
from souk.rpc.call import Layer
from souk.rpc.caller_token import CallerTokens
from souk.rpc.channel import Channel
from souk.rpc.grpc_server import serve
from souk.rpc.in_process import InProcess
from souk.rpc.layers import standard_layers
from souk.rpc.remote import Remote
from souk.rpc.server import Dispatcher
from souk.rpc.transport import Transport
from souk.telemetry.logs import logger
from souk.telemetry.metrics import process_registry

EVENT_SINK = event_pb2.DESCRIPTOR.services_by_name["EventSink"]
GRACE = 5.0
"""Seconds that calls between services are given when the process stops; by then no request runs."""


class Calls:
    """The services `hosted` here, by name, and the `addresses` of others. `registry` counts what is called."""

    def __init__(
        self, secret: bytes, hosted: Sequence[str], addresses: Mapping[str, Sequence[str]], clock: Clock
    ) -> None:
        self.registry: CollectorRegistry = process_registry()
        self._metrics = CallMetrics(self.registry)
        self._secret = secret
        self._addresses = addresses
        self._clock = clock
        self._dispatchers = {name: Dispatcher(self._tokens(name), clock) for name in hosted}
        self._transports: dict[str, Transport] = {
            name: InProcess(dispatcher, clock) for name, dispatcher in self._dispatchers.items()
        }

    def of(self, caller: str) -> Callable[[str], grpc.aio.Channel]:
        """Channels in the name of `caller`, one for each service that it calls.

        Calls to a name that is neither here nor anywhere else are not sent.
        """
        tokens = self._tokens(caller)
        channels: dict[str, Channel] = {}

        def channel(name: str) -> Channel:
            if name not in channels:
                layers = self._layers(caller, name)
                channels[name] = Channel(self._transport(name), tokens=tokens, layers=layers, clock=self._clock)
            return channels[name]

        return channel

    def serve(self, one: Hosted) -> None:
        """Takes calls for a service, and events for its consumers, from now on."""
        dispatcher = self._dispatchers[one.service.name]
        dispatcher.add(one.parts.servicer, one.service.contract)
        dispatcher.add(EventSinkServicer(one.parts.consumers, clock=self._clock), EVENT_SINK)

    @asynccontextmanager
    async def listening(self, name: str, host: str, port: int, drain: float) -> AsyncIterator[str]:
        """Takes calls for a service from other processes; gives host:port.

        At the end running calls get `drain` seconds.
        """
        server = await serve(self._dispatchers[name], f"{host}:{port}")
        try:
            await server.set_healthy(True)
            yield server.address
        finally:
            await server.stop(drain)

    async def close(self) -> None:
        """Lets running calls end, and takes no more."""
        for transport in self._transports.values():
            await transport.close(GRACE)

    def _tokens(self, service: str) -> CallerTokens:
        return CallerTokens(self._secret, service, self._clock)

    def _layers(self, caller: str, callee: str) -> list[Layer]:
        breaker = Breaker()
        self._metrics.watch(caller, callee, breaker)
        return standard_layers(callee, self._clock, breaker=breaker, ended=self._metrics.ended(caller))

    def _transport(self, name: str) -> Transport:
        if name not in self._transports:
            if name not in self._addresses:
                # A service starts without the others: calls to them are not sent, and whoever asks is told so.
                logger("hosting").warning(
                    "nobody says where a service listens; name it in SOUK_ADDRESSES", service=name
                )
            known = self._addresses.get(name, ())
            self._transports[name] = Remote(lambda: known, self._clock)
        return self._transports[name]


@asynccontextmanager
async def open_calls(
    secret: bytes, hosted: Sequence[str], addresses: Mapping[str, Sequence[str]], clock: Clock
) -> AsyncIterator[Calls]:
    """Calls among services, closed with the block."""
    calls = Calls(secret, hosted, addresses, clock)
    try:
        yield calls
    finally:
        await calls.close()
