"""The transport for calls over gRPC, by grpc.aio.

A call is sent only over a connection that is ready. So a call without one was provably not sent, and
a failure after that is UNKNOWN: `UNAVAILABLE` does not prove that nothing happened.

An attempt to connect that failed is an answer only to the calls from before it: a later call makes another one at
once, whatever the pause between the attempts of gRPC itself, because its callee may have come up meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence

import grpc
import grpc.aio

from souk.kernel.addresses import grpc_target, socket_path
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.rpc.call import Call, Reply, Status, failed, not_sent, reply_to
from souk.rpc.dates import ASKED, DATE
from souk.rpc.grpc.stream import GrpcStream
from souk.rpc.metadata import LIMIT, first
from souk.rpc.tls import MutualTls
from souk.rpc.transport import MESSAGE_LIMIT, Stream
from souk.telemetry.logs import logger

CONNECT_TIMEOUT = 1.0
"""The most seconds that a call waits for a connection, unless it waits for ready."""
_AGAIN = CONNECT_TIMEOUT / 10
_State = grpc.ChannelConnectivity
_log = logger("rpc")

LIMITS = (
    ("grpc.max_metadata_size", LIMIT),
    ("grpc.absolute_max_metadata_size", LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
)
_OPTIONS = (
    *LIMITS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT * 1_000)),  # what an attempt may take, despite its name
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Otherwise channels to one address share their attempts to connect, and so the pause after a failed one.
    ("grpc.use_local_subchannel_pool", 1),
)


class GrpcConnection:
    """The gRPC channel to one address, which gets `authority` as the name of what is called, unless that is empty.

    Raises ConfigurationError while the files of `tls` cannot be used.
    """

    def __init__(self, address: str, tls: MutualTls | None = None, service: str = "", authority: str = "") -> None:
        self.address = address
        named = (("grpc.default_authority", authority),) if authority else ()
        options: Sequence[tuple[str, int | str]] = (*_OPTIONS, *named)
        tls = None if socket_path(address) else tls
        self.stamp = None if tls is None else tls.stamp  # before the files are read: they may change meanwhile
        if tls is None:
            self.channel = grpc.aio.insecure_channel(grpc_target(address), options=options)
        else:
            options = (*options, ("grpc.ssl_target_name_override", service))
            self.channel = grpc.aio.secure_channel(address, tls.grpc_client(), options=options)
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def unary(self, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        """Returns the unary method of a path, which takes and returns encoded messages."""
        method = self._unary.get(path)
        if method is None:
            method = self._unary[path] = self.channel.unary_unary(path)
        return method

    @property
    def ready(self) -> bool:
        """Whether it is connected."""
        return self.channel.get_state() is _State.READY

    @property
    def idle(self) -> bool:
        """Whether no attempt to connect is under way, or has failed: the next one begins when it is asked for."""
        return self.channel.get_state() is _State.IDLE

    @property
    def failed(self) -> bool:
        """Whether the last attempt to connect has failed, and gRPC pauses before the next one."""
        return self.channel.get_state() is _State.TRANSIENT_FAILURE

    def connect(self) -> None:
        """Begins to connect, unless it is connected or an attempt is under way."""
        self.channel.get_state(try_to_connect=True)

    async def wait_ready(self) -> bool:
        """Waits for the end of the attempt that is under way, or begins now. Returns whether it is connected."""
        while (state := self.channel.get_state(try_to_connect=True)) is not _State.READY:
            if state in {_State.TRANSIENT_FAILURE, _State.SHUTDOWN}:
                return False
            await self.channel.wait_for_state_change(state)
        return True


class GrpcTransport:
    """A transport to the instances of one service, by gRPC.

    `addresses` returns the addresses that are known at the moment. Calls for which no layer has chosen an instance
    go to them in turn. With `tls` instances are called over TLS, and must show a certificate of `service`. They get
    `authority` as the name of what is called, unless that is empty.
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        clock: Clock | None = None,
        *,
        tls: MutualTls | None = None,
        service: str = "",
        authority: str = "",
    ) -> None:
        self._addresses = addresses
        self._tls, self._service, self._authority = tls, service, authority
        self._clock = clock or SystemClock()
        self._connections: dict[str, GrpcConnection] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._closed = False
        self._fault_logged = False

    async def unary(self, call: Call) -> Reply:
        """Makes a unary call; an `Invoke`."""
        connection = await self.connected(call)
        made = connection.unary(call.method.full_name)(
            call.request, timeout=self.remaining(call), metadata=call.metadata
        )
        try:
            message = await made
        except grpc.aio.AioRpcError as error:
            status = Status(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
            raise failed(call.method, status, tuple(error.initial_metadata() or ())) from None
        return reply_to(call, message, tuple(await made.initial_metadata()), tuple(await made.trailing_metadata()))

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it."""
        return GrpcStream(self, call, one_request)

    async def ready(self) -> None:
        """Waits until one of the addresses is connected."""
        while not self._closed:
            address = self._choose("", frozenset())
            if address and await self._reached(address) is not None:
                return
            await asyncio.sleep(_AGAIN)

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds."""
        self._closed = True
        connections, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*self._leaving, *(connection.channel.close(grace) for connection in connections))

    async def date(self, address: str, patience: float) -> str:
        """Asks an instance for its date, and waits `patience` seconds; empty if it does not answer.

        Without a ready connection it makes one of its own, which it closes again.
        """
        if self._closed:
            return ""
        kept = self._connections.get(address)
        if kept is not None and kept.ready:
            return await self._date(kept, patience)
        apart = self._usable(lambda: GrpcConnection(address, self._tls, self._service, self._authority))
        if apart is None:
            return ""
        try:
            return await self._date(apart, patience)
        finally:
            await apart.channel.close()

    async def _date(self, connection: GrpcConnection, patience: float) -> str:
        try:
            async with asyncio.timeout(patience):
                if not await connection.wait_ready():
                    return ""
                made = connection.unary(ASKED.full_name)(b"", timeout=patience)
                await made
        except (grpc.aio.AioRpcError, TimeoutError):
            return ""
        return first(tuple(await made.trailing_metadata()), DATE)

    def warm(self, address: str) -> None:
        """Begins to connect to an instance, so that the first call does not wait for a connection."""
        connection = None if self._closed else self._connection(address)
        if connection is not None:
            connection.connect()

    def remaining(self, call: Call) -> float:
        """Returns the seconds until the call's deadline."""
        return call.deadline - self._clock.monotonic()

    async def connected(self, call: Call) -> GrpcConnection:
        """Waits for a connection that is ready. Raises CallFailed, NOT_SENT, when there is none in time."""
        remaining = self.remaining(call)
        if remaining <= 0:
            raise not_sent("Deadline Exceeded", grpc.StatusCode.DEADLINE_EXCEEDED)
        address = "" if self._closed else self._choose(call.instance, call.avoid)
        if not address:
            raise not_sent(f"no instance of {call.method.service} is known")
        connection = self._connection(address)
        if connection is not None and connection.ready:
            return connection
        try:
            async with asyncio.timeout(remaining if call.wait_for_ready else min(remaining, CONNECT_TIMEOUT)):
                connection = await self._reached(address)
                while connection is None and call.wait_for_ready and not self._closed:
                    await asyncio.sleep(_AGAIN)
                    connection = await self._reached(address)
        except TimeoutError:
            if self.remaining(call) <= 0:
                raise not_sent("Deadline Exceeded", grpc.StatusCode.DEADLINE_EXCEEDED) from None
            connection = None
        if connection is None:
            raise not_sent(f"no connection to {call.method.service}")
        return connection

    async def _reached(self, address: str) -> GrpcConnection | None:
        """Connects to an address. Returns None when an attempt failed that began after it was called."""
        for _ in range(2):  # an attempt that is under way began before; when it fails, the next one begins after
            connection = None if self._closed else self._connection(address)
            if connection is None:
                return None
            begins_now = connection.idle
            if await connection.wait_ready():
                return connection
            if begins_now:
                return None
        return None

    def _choose(self, instance: str, avoid: frozenset[str]) -> str:
        if instance:
            return instance
        known = self._addresses()
        fresh = [address for address in known if address not in avoid] or known
        self._turn += 1
        return fresh[self._turn % len(fresh)] if fresh else ""

    def _connection(self, address: str) -> GrpcConnection | None:
        """Returns the connection to an address, ready or not, but not one of which the last attempt failed.

        None while the certificates cannot be used.
        """
        return self._usable(lambda: self._kept(address))

    def _usable(self, make: Callable[[], GrpcConnection]) -> GrpcConnection | None:
        """Makes a connection. None when the certificates cannot be used, which is logged once until they can."""
        try:
            connection = make()
        except ConfigurationError as error:
            if not self._fault_logged:
                _log.warning("a service cannot be connected to", service=self._service, error=str(error))
            self._fault_logged = True
            return None
        self._fault_logged = False
        return connection

    def _kept(self, address: str) -> GrpcConnection:
        connection = self._connections.get(address)
        if connection is not None and not (connection.failed or self._outdated(connection)):
            return connection
        fresh = GrpcConnection(address, self._tls, self._service, self._authority)
        self._forget_unknown()
        if address in self._connections:
            self._let_go(address)
        self._connections[address] = fresh
        return fresh

    def _outdated(self, connection: GrpcConnection) -> bool:
        """Whether it would show an old certificate when it connects again."""
        return self._tls is not None and connection.stamp is not None and connection.stamp != self._tls.stamp

    def _forget_unknown(self) -> None:
        """Closes the connections to instances that have left; calls over them may still end."""
        known = set(self._addresses())
        for address in [address for address in self._connections if address not in known]:
            self._let_go(address)

    def _let_go(self, address: str) -> None:
        leaving = asyncio.ensure_future(self._connections.pop(address).channel.close(CONNECT_TIMEOUT * 30))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
