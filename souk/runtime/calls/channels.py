"""How the services of this process call each other, and those of other processes.

A service that is hosted here is called in process; any other is called at the instances that the registry
knows. The caller cannot tell the difference.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import grpc.aio
from prometheus_client import CollectorRegistry
from soukapi.v1 import event_pb2

from souk.discovery.directory import Directory
from souk.discovery.open import open_registry
from souk.discovery.registry import Registry
from souk.discovery.static import StaticRegistry
from souk.events.consumer import EventSinkServicer
from souk.events.source import EventSourceServicer
from souk.faults import INERT, Faults
from souk.kernel.addresses import socket_path
from souk.kernel.clock import Clock
from souk.resilience.breaker.breaker import Breaker
from souk.rpc.call import Layer
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.connect.server import CONNECTIONS, serve_connect
from souk.rpc.discovered import CONNECT
from souk.rpc.grpc.server import serve
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.tls import MutualTls
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.calls.clock_skew import ClockSkew
from souk.runtime.calls.guard_metrics import GuardMetrics
from souk.runtime.calls.metrics import CallMetrics, measure_directory
from souk.runtime.calls.peer_clocks import PeerClocks
from souk.runtime.calls.service_address import Address, close_to_others
from souk.runtime.calls.ways import CallMonitoring, Ways
from souk.runtime.config.settings import CallSettings
from souk.runtime.process.background import supervised
from souk.runtime.process.loop_lag import LoopLag
from souk.runtime.process.open_files import for_clients
from souk.runtime.service import Service, ServiceParts
from souk.store.database import Database
from souk.telemetry.health import Health
from souk.telemetry.metrics import process_registry
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.tracing import Tracing
from souk.telemetry.traffic import Traffic

EVENT_SINK = event_pb2.DESCRIPTOR.services_by_name["EventSink"]
EVENT_SOURCE = event_pb2.DESCRIPTOR.services_by_name["EventSource"]
GRACE = 5.0
"""Seconds that running calls between services get when the process stops; by then no request runs."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service takes calls: `address` for gRPC, and in `speaks` the port or socket of each other protocol."""

    address: str
    speaks: Mapping[str, str]


class Calls:
    """Calls to the services `hosted` here, by name, and to those of other processes, which `discovery` finds.

    `registry` holds the metrics of calls; `breakers` are the breakers around the calls; `health` probes what this
    process depends on, each service in other processes included; `skew` compares this process's clock with those of
    its databases and, through `peers`, of the instances that it calls. `each_try` are layers around each try at an
    instance in another process, for programs that measure tries. `tracing` records calls, `faults` befall them.
    `sidecar` is the address of the proxy through which this process calls others; empty without one.
    """

    def __init__(
        self,
        secret: bytes,
        hosted: Sequence[str],
        discovery: Registry,
        settings: CallSettings,
        clock: Clock,
        each_try: Sequence[Layer] = (),
        tracing: Tracing | None = None,
        faults: Faults = INERT,
    ) -> None:
        self.registry: CollectorRegistry = process_registry()
        self.discovery = discovery
        self.directory = Directory(discovery, clock)
        self.breakers = Breakers(clock)
        self.health = Health(clock)
        self._tracers: dict[str, Tracer] = {}
        self._tracing, self._alone = tracing, len(hosted) <= 1
        if tracing is not None:
            self.registry.register(tracing)
        self._metrics, self._guarding = CallMetrics(self.registry), GuardMetrics(clock.monotonic)
        self.registry.register(self._guarding)
        self.lag = LoopLag(self.registry, clock)
        measure_directory(self.registry, self.directory)
        self._secret = secret
        self.sidecar = settings.discovery.sidecar
        certificates = settings.tls.certificates
        self._tls = None if certificates is None else MutualTls(certificates)
        self._clock = clock
        made = partial(Dispatcher, clock=clock, faults=faults)
        self._dispatchers = {name: made(self.tokens(name), tracer=self.tracer(name), service=name) for name in hosted}
        self._here = {name: InProcessTransport(dispatcher, clock) for name, dispatcher in self._dispatchers.items()}
        watched = CallMonitoring(self.directory, self.breakers, self.health, self._metrics, self._guarding)
        self._ways = Ways(self._here, settings, self._tls, clock, watched, each_try)
        self.peers = PeerClocks(self._ways.discovered, clock)
        self.skew = ClockSkew(self.registry, self.peers.ahead)
        self.health.watch("clock", self.skew.probe, blocks=True)

    def of(self, caller: str) -> Callable[[str], grpc.aio.Channel]:
        """Gives a function that returns the channel from `caller` to a service, one channel for each service.

        Calls to a service of which no instance is known end as not sent.
        """
        tokens, tracer = self.tokens(caller), self.tracer(caller)
        channels: dict[str, Channel] = {}

        def channel(name: str) -> Channel:
            if name not in channels:
                transport, layers, by = self._ways.to(name, caller, tracer, traced=self._tracing is not None)
                channels[name] = Channel(
                    transport, tokens=tokens, audience=name, layers=layers, clock=self._clock, tracer=tracer, system=by
                )
            return channels[name]

        return channel

    def watch_services(self, names: Iterable[str]) -> None:
        """Watches these services in the registry, and compares clocks with them, from now on."""
        for name in set(names):
            self._ways.watch(name)

    def serve(self, service: Service, parts: ServiceParts, database: Database | None) -> None:
        """Starts to take calls for a service and events for its consumers, and lists the service's own breakers.

        With a `database`, the service also keeps those of its events that consumers could not handle.
        """
        dispatcher = self._dispatchers[service.name]
        dispatcher.add(parts.servicer, service.contract)
        dispatcher.add(
            EventSinkServicer(parts.consumers, clock=self._clock, tracer=self.tracer(service.name)), EVENT_SINK
        )
        if database is not None:
            dispatcher.add(EventSourceServicer(service.name, database, parts.history), EVENT_SOURCE)
        for outside, breaker in parts.breakers.items():
            callee, _, use = outside.partition("/")
            self.breakers.add(service.name, callee, breaker, method=use)
            self._metrics.watch(service.name, outside, breaker)

    def guard(self, caller: str, callee: str, breaker: Breaker) -> None:
        """Lists a breaker of the process's own, and shows its state, until `unguard`."""
        self.breakers.add(caller, callee, breaker)
        self._metrics.watch(caller, callee, breaker)

    def unguard(self, caller: str, callee: str) -> None:
        """Takes back what `guard` did."""
        self.breakers.remove(caller, callee)
        self._metrics.forget(caller, callee)

    def traffic(self, name: str) -> Traffic:
        """Gives the counts of calls that a service of this process has answered."""
        return self._dispatchers[name].traffic

    @asynccontextmanager
    async def listening(self, name: str, where: Address, drain: float) -> AsyncIterator[Listening]:
        """Takes calls for a service from other processes inside the block, at a given address.

        When the block ends, running calls get `drain` seconds.
        """
        async with AsyncExitStack() as stack:
            server = await serve(self._dispatchers[name], where.grpc, self._tls, self._clock)
            stack.push_async_callback(server.stop, 0)
            connect = await serve_connect(
                self._dispatchers[name],
                where.connect,
                self._clock,
                for_clients(CONNECTIONS),
                tls=None if socket_path(where.connect) else self._tls,
            )
            stack.push_async_callback(connect.stop, 0)
            close_to_others(where.grpc, where.connect)
            await server.set_healthy(True)
            speaks = connect.address if socket_path(connect.address) else str(connect.port)
            yield Listening(server.address, {CONNECT: speaks})
            await asyncio.gather(server.stop(drain), connect.stop(drain))

    async def close(self) -> None:
        """Takes no new calls, gives running ones GRACE seconds for each transport, and closes the registry."""
        for transport in (*self._here.values(), *self._ways.transports):
            await transport.close(GRACE)
        await self.directory.close()
        await self.discovery.close()

    def tracer(self, service: str) -> Tracer | None:
        """Gives the tracer of a service of this process, or of the gateway; None if nothing is traced."""
        if self._tracing is None:
            return None
        found = self._tracers.get(service)
        if found is None:
            found = self._tracers[service] = self._tracing.tracer(service, alone=self._alone)
        return found

    @property
    def spans(self) -> SpanRing | None:
        """The newest spans of this process, if it keeps any."""
        return None if self._tracing is None else self._tracing.ring

    def tokens(self, service: str) -> CallerTokens:
        """Makes the tokens that a service of this process signs, and accepts."""
        return CallerTokens(self._secret, service, self._clock)


@asynccontextmanager
async def open_calls(
    secret: bytes,
    hosted: Sequence[str],
    settings: CallSettings,
    clock: Clock,
    each_try: Sequence[Layer] = (),
    tracing: Tracing | None = None,
    faults: Faults = INERT,
) -> AsyncIterator[Calls]:
    """Opens calls between services, with their background work, and closes them when the block ends."""
    about = settings.discovery
    discovery: Registry = StaticRegistry(about.addresses)
    if about.registry is not None:
        discovery = await open_registry(about.registry, clock)
    calls = Calls(secret, hosted, discovery, settings, clock, each_try, tracing, faults)
    try:
        async with supervised(clock) as background:
            background.start("health", calls.health.run)
            background.start("clocks of peers", calls.peers.run)
            background.start("event loop lag", calls.lag.run)
            yield calls
    finally:
        await calls.close()
