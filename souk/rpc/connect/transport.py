"""The transport for unary calls over Connect; streams go by another transport.

A call is NOT_SENT as long as no octet of it was written; from then on anything but a complete answer
leaves it UNKNOWN.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import grpc

from souk.kernel.clock import Clock, SystemClock
from souk.rpc.call import Call, Reply, Status
from souk.rpc.connect.pool import CONNECT_TIMEOUT, Pool
from souk.rpc.connect.reply import ConnectReply, refused
from souk.rpc.dates import ASKED
from souk.rpc.in_process.reply import InProcessStream
from souk.rpc.server.handler_context import too_large
from souk.rpc.server.handling import too_much_metadata
from souk.rpc.tls import MutualTls
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT, Stream, Transport
from souk.telemetry.tracing.calling import CONNECT, SYSTEM

_SWEEP = 1.0
_NO_STREAMS = Status(grpc.StatusCode.UNIMPLEMENTED, "streams are not called over Connect", sent=False)


def _same(address: str) -> str:
    return address


class ConnectTransport:
    """A transport to the instances of one service, by the Connect protocol.

    `addresses` returns the addresses that are known at the moment, as balancers know them; `connect_address`
    returns where such an instance serves Connect, as host:port, empty if it does not. Calls to instances without
    Connect, and streams, go to the transport `streams`, which is closed with this one. With `tls` instances are
    called over TLS, and must show a certificate of `service`.
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        clock: Clock | None = None,
        *,
        streams: Transport | None = None,
        connect_address: Callable[[str], str] = _same,
        tls: MutualTls | None = None,
        service: str = "",
    ) -> None:
        self._addresses = addresses
        self._clock = clock or SystemClock()
        self._streams = streams
        self._connect_address = connect_address
        self._tls, self._service = tls, service
        self._pools: dict[str, Pool] = {}
        self._turn = 0
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    def unary(self, call: Call) -> Awaitable[Reply]:
        """Makes a unary call. If a connection is idle the call is written at once, without a task."""
        remaining = call.deadline - self._clock.monotonic()
        if remaining <= 0:
            return refused(call, EXPIRED.code, EXPIRED.details)
        address = "" if self._closed else self._choose(call.instance, call.avoid)
        if not address:
            return refused(call, grpc.StatusCode.UNAVAILABLE, f"no instance of {call.method.service} is known")
        refusal = too_much_metadata(call)
        if refusal is None and len(call.request) > MESSAGE_LIMIT:
            refusal = too_large("SERVER", call.request)
        if refusal is not None:
            return refused(call, refusal.code, refusal.details, sent=True)
        target = self._connect_address(address)
        if not target:
            return self._otherwise(call, address)
        if call.span is not None:
            call.span.attributes[SYSTEM] = CONNECT
        reply = ConnectReply(call, remaining)
        (self._pools.get(target) or self._pool(target, call.method.service)).send(reply)
        return reply

    def _otherwise(self, call: Call, address: str) -> Awaitable[Reply]:
        """Makes a call to an instance that does not serve Connect."""
        if self._streams is not None:
            return self._streams.unary(call._replace(instance=address))
        return refused(call, grpc.StatusCode.UNAVAILABLE, f"this instance of {call.method.service} speaks no Connect")

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it, by the other transport."""
        if self._streams is not None:
            return self._streams.stream(call, one_request=one_request)
        stream = InProcessStream()
        stream.finished(_NO_STREAMS, None)
        return stream

    async def date(self, address: str, patience: float) -> str:
        """Asks an instance for its date, and waits `patience` seconds once it is connected; empty without an answer."""
        target = "" if self._closed else self._connect_address(address)
        if not target:
            return ""
        pool = self._pool(target, ASKED.service)
        if not await pool.reached():
            return ""
        reply = ConnectReply(Call(ASKED, b"", (), self._clock.monotonic() + patience), patience)
        pool.send(reply)
        await asyncio.wait({reply})
        return reply.date.decode("latin-1")

    def warm(self, address: str) -> None:
        """Begins to connect to an instance, so that the first call does not wait for a connection."""
        target = "" if self._closed else self._connect_address(address)
        if target:
            self._pool(target, "").connect()

    async def ready(self) -> None:
        """Waits until one of the addresses is connected."""
        while not self._closed:
            address = self._choose("", frozenset())
            target = self._connect_address(address) if address else ""
            if target:
                pool = self._pool(target, "")
                pool.connect()
                if pool.connected:
                    return
            elif address and self._streams is not None:
                await self._streams.ready()
                return
            await asyncio.sleep(CONNECT_TIMEOUT / 50)

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.leave()
        running = [reply for pool in pools for reply in pool.replies]
        if running and grace:
            await asyncio.wait(running, timeout=grace)
        for pool in pools:
            await pool.abort()
        await asyncio.sleep(0)  # otherwise the loop may be closed before it has closed the connections
        if self._streams is not None:
            await self._streams.close(grace)

    def _choose(self, instance: str, avoid: frozenset[str]) -> str:
        if instance:
            return instance
        known = self._addresses()
        fresh = [address for address in known if address not in avoid] if avoid else known
        fresh = fresh or known
        self._turn += 1
        return fresh[self._turn % len(fresh)] if fresh else ""

    def _pool(self, target: str, service: str) -> Pool:
        pool = self._pools.get(target)
        if pool is None:
            self._sweep()
            pool = self._pools[target] = Pool(target, self._service or service, self._clock, self._tls)
        return pool

    def _sweep(self) -> None:
        """Closes connections that are idle too long, and the pools of instances that have left."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        known = {self._connect_address(address) for address in self._addresses()}
        for target, pool in list(self._pools.items()):
            if target in known or pool.busy:
                pool.trim()
            else:
                self._pools.pop(target).leave()
        if not self._closed:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)
