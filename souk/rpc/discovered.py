"""The transport to a service in other processes: it finds the instances, and calls each by a protocol it offers.

The registry knows the instances and the balancer chooses one. A unary call goes by the Connect protocol to an
instance that offers it, and otherwise by gRPC. Streams always go by gRPC.
"""

import asyncio
from collections.abc import Awaitable, Callable

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance
from souk.kernel.addresses import socket_path
from souk.kernel.clock import Clock
from souk.resilience.balancer import Balancer, BalancerMember
from souk.rpc.call import Call, Invoke, Reply
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.tls import MutualTls
from souk.rpc.transport import Stream
from souk.telemetry.logs import logger

_log = logger("hosting")

CONNECT = "connect"
"""The key in an instance's metadata for its port, or the address of its socket, for the Connect protocol."""
FIRST_LOOKUP = 1.0
"""The most seconds that the first calls wait for the registry's first answer."""


class DiscoveredTransport:
    """A transport to the instances of one service in other processes.

    Calls for which no balancer has chosen an instance go to the instances in turn. Without `connect` all go by gRPC.
    """

    def __init__(
        self,
        service: str,
        directory: Directory,
        clock: Clock,
        *,
        connect: bool = True,
        tls: MutualTls | None = None,
    ) -> None:
        self._service = service
        self._directory = directory
        self._clock = clock
        self._instances: dict[str, Instance] = {}
        self._by_connect = connect
        self._grpc = GrpcTransport(self._addresses, clock, tls=tls, service=service)
        self._transport = ConnectTransport(
            self._addresses,
            clock,
            streams=self._grpc,
            connect_address=self._connect_address,
            tls=tls,
            service=service,
        )
        self._lookup: asyncio.Task[object] | None = None
        self._balancers: list[Balancer] = []
        directory.on_change(service, self._changed)
        self._changed(directory.instances(service))

    def balancer(self, make: Callable[[], Balancer]) -> Balancer:
        """Makes a balancer, and from now on tells it of every change of the instances."""
        balancer = make()
        self._balancers.append(balancer)
        balancer.update(self._members(), self._clock.monotonic())
        return balancer

    def found(self, inner: Invoke) -> Invoke:
        """A layer: makes the first calls wait until the registry has answered for the service."""

        async def invoke(call: Call) -> Reply:
            if not self._instances:
                await self._await_lookup(call.deadline - self._clock.monotonic())
            return await inner(call)

        return invoke

    def unary(self, call: Call) -> Awaitable[Reply]:
        """Makes a unary call; an `Invoke`."""
        return self._transport.unary(call)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances that are known at the moment."""
        return tuple(self._instances.values())

    async def date(self, address: str, patience: float) -> str:
        """Asks an instance for its date, and waits `patience` seconds; empty if it does not answer."""
        transport = self._transport if self._connect_address(address) else self._grpc
        return await transport.date(address, patience)

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it."""
        return self._transport.stream(call, one_request=one_request)

    async def ready(self) -> None:
        """Waits until an instance is connected."""
        await self._transport.ready()

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds."""
        if self._lookup is not None:
            self._lookup.cancel()
        await self._transport.close(grace)

    async def _await_lookup(self, seconds: float) -> None:
        if self._lookup is None:
            self._lookup = asyncio.ensure_future(self._directory.known(self._service, FIRST_LOOKUP))
        if not self._lookup.done():
            await asyncio.wait({self._lookup}, timeout=max(0.0, seconds))
            if self._lookup.done() and not self._instances:
                # A service starts without the others: calls to them fail as not sent.
                _log.warning(
                    "the address of a service is not known: set SOUK_REGISTRY or SOUK_ADDRESSES", service=self._service
                )

    def _changed(self, instances: tuple[Instance, ...]) -> None:
        self._instances = {instance.address: instance for instance in instances}
        members, now = self._members(), self._clock.monotonic()
        for balancer in self._balancers:
            balancer.update(members, now)
        for address in {address for balancer in self._balancers for address in balancer.addresses()}:
            (self._transport if self._connect_address(address) else self._grpc).warm(address)

    def _addresses(self) -> tuple[str, ...]:
        return tuple(self._instances)

    def _connect_address(self, address: str) -> str:
        instance = self._instances.get(address)
        offered = "" if instance is None or not self._by_connect else instance.metadata.get(CONNECT, "")
        if socket_path(address):
            return offered if socket_path(offered) else ""
        return f"{address.rpartition(':')[0]}:{offered}" if offered.isdigit() else ""

    def _members(self) -> list[BalancerMember]:
        return [BalancerMember(one.address, one.zone, one.weight) for one in self._instances.values()]
