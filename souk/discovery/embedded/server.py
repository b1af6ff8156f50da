"""The server of the embedded registry: one process, in memory; the supervisor of a fleet serves it.

On a unix socket only its owner reaches it. At a port every user of the machine does, so each caller must
send the registry's secret, which is in its URL.

A registration is a stream. An instance is registered while its stream is open and sends a message within
each lease. A process that is killed breaks its stream, and every watcher knows within milliseconds.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from soukapi.v1 import registry_pb2_grpc
from soukapi.v1.registry_pb2 import RegisterRequest, RegisterResponse, WatchRequest, WatchResponse

from souk.discovery.diff import by_id
from souk.discovery.embedded import secret as registry_secret
from souk.discovery.embedded.registration import from_wire, to_wire
from souk.discovery.embedded.table import Table, TableRegistration
from souk.discovery.registry import Instance, WatchEvent, checked
from souk.discovery.watch_fanout import Publish, Watches
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import logger

_log = logger("discovery")

HUNG = 1.0
"""Seconds of delay from which the end of a lease shows that this process has hung, and not the instance."""

GRACE = 0.5
"""Seconds that streams have at the stop to end by themselves, without an error in their clients' logs."""

LONGEST_PATH = 100
"""The longest path of a unix socket, in bytes, that every system accepts."""


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The settings of the registry, in seconds. An instance must send a message within each `lease`. For `grace` after
    its start the registry is not settled, and clients keep the instances that they knew before."""

    lease: float = 10.0
    grace: float = 3.0


class EmbeddedRegistry(registry_pb2_grpc.RegistryServicer):
    """The servicer, and the view of the registry for its own process. Without a `secret` anyone may call."""

    def __init__(self, clock: Clock, settings: EmbeddedSettings | None = None, secret: str = "") -> None:
        self.url = ""
        self._secret = secret
        self._clock = clock
        self._settings = settings or EmbeddedSettings()
        self._table = Table()
        self._watches = Watches(self._follow)
        self._life = secrets.token_hex(8)
        self._settles_at = clock.monotonic() + self._settings.grace
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Returns the healthy instances of a service, in the order of their ids."""
        return self._table.instances(service)

    def services(self) -> tuple[str, ...]:
        """Returns the services that have a registered instance, healthy or not."""
        return self._table.services()

    async def until(self, service: str, check: Callable[[tuple[Instance, ...]], bool] = bool) -> tuple[Instance, ...]:
        """Waits until `check` accepts the healthy instances of a service, by default at least one; returns them."""
        changed = asyncio.Event()
        with self._table.listening(service, changed.set):
            while not check(found := self.instances(service)):
                changed.clear()
                await changed.wait()
        return found

    @property
    def away(self) -> str:
        """Always empty: this process has the registry."""
        return ""

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's healthy instances, without a connection."""
        return self._watches.watch(service)

    async def _follow(self, service: str, publish: Publish) -> None:
        changed = asyncio.Event()
        with self._table.listening(service, changed.set):
            while not self._closed.done():  # as in Watch
                changed.clear()
                publish(by_id(self.instances(service)))
                await changed.wait()

    # These are coroutines that write, and not generators as the stub's types have it: grpc.aio leaves a generator
    # that was cancelled between two messages to the garbage collector, and so the instance would stay registered.
    async def Register(  # type: ignore[override]  # writes, as said above
        self, request_iterator: AsyncIterable[RegisterRequest], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """Keeps one instance registered while its stream is open."""
        await self._admit(context)
        registration = TableRegistration(self._table)
        lease = Duration()
        lease.FromMilliseconds(round(self._settings.lease * 1_000))
        try:
            while (request := await self._next(registration, context)) is not None:
                try:
                    registration.put(checked(from_wire(request.instance)), request.healthy)
                except ConfigurationError as error:
                    registration.leave()  # before the caller hears of it
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                await context.write(RegisterResponse(lease=lease))
        finally:
            registration.leave()

    async def Watch(  # type: ignore[override]  # writes, as said above
        self, request: WatchRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """Sends the healthy instances of a service, after each change and from time to time."""
        await self._admit(context)
        changed = asyncio.Event()
        with self._table.listening(request.service, changed.set):
            while not self._closed.done():  # a registry that stops must not report that all instances have left
                changed.clear()
                await context.write(self._snapshot(request.service))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await changed.wait()

    def close(self) -> None:
        """Ends every stream. From now on watchers get no changes."""
        self._closed.set_result(None)
        self._table.wake()

    async def _admit(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        objection = self._secret and registry_secret.objection(context.invocation_metadata(), self._secret)
        if objection:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, objection)

    async def _next(
        self, registration: TableRegistration, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> RegisterRequest | None:
        read = asyncio.ensure_future(context.read())
        read.add_done_callback(lambda done: done.cancelled() or done.exception())  # a cancelled handler never awaits it
        try:
            while not read.done():
                late = await self._wait(read)
                if not read.done() and late < HUNG:
                    registration.leave()
                    await self._refuse(context)
            return request if isinstance(request := read.result(), RegisterRequest) else None
        finally:
            read.cancel()

    async def _wait(self, read: "asyncio.Future[Any]") -> float:
        """Waits for a message, the lease's end or the registry's stop. Returns the seconds since the lease's end."""
        due = self._clock.monotonic() + self._settings.lease
        await asyncio.wait({read, self._closed}, timeout=self._settings.lease, return_when=asyncio.FIRST_COMPLETED)
        return self._clock.monotonic() - due

    async def _refuse(self, context: "grpc.aio.ServicerContext[Any, Any]") -> NoReturn:
        if self._closed.done():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the registry stops")
        await context.abort(grpc.StatusCode.ABORTED, "the lease ran out")

    def _snapshot(self, service: str) -> WatchResponse:
        return WatchResponse(
            life=self._life,
            settled=self._clock.monotonic() >= self._settles_at,
            instances=map(to_wire, self.instances(service)),
        )

    def _pause(self) -> float:
        young = self._settles_at - self._clock.monotonic()
        return min(self._settings.lease / 3, young) if young > 0 else self._settings.lease / 3


@asynccontextmanager
async def serving_registry(
    where: Path | str, clock: Clock | None = None, settings: EmbeddedSettings | None = None, secret: str = ""
) -> AsyncIterator[EmbeddedRegistry]:
    """Serves a registry on a unix socket (a Path) or at host:port (text), where port 0 takes any free port.

    Its `url`, with the secret in it, is the argument for `open_registry`. At host:port there always is a secret; a
    random one is made if none is given. Give one if clients are to reach the registry with the same URL after a
    restart. Raises ConfigurationError when it cannot listen there.
    """
    if isinstance(where, str) and not secret:
        secret = registry_secret.made_up()
    registry = EmbeddedRegistry(clock or SystemClock(), settings, registry_secret.checked(secret))
    async with serving(registry, where, secret):
        yield registry


@asynccontextmanager
async def serving(registry: EmbeddedRegistry, where: Path | str, secret: str = "") -> AsyncIterator[None]:
    """Serves a registry that is there already, as `serving_registry`, with the secret that it was made with."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # two servers would share a port silently
    registry_pb2_grpc.add_RegistryServicer_to_server(registry, server)
    registry.url = _listen(server, where, secret)
    # Each handler's context is a copy of the one in which the server is started, so that one is empty.
    await asyncio.get_running_loop().create_task(server.start(), context=Context())
    _log.debug("registry serves", where=str(where))
    try:
        yield
    finally:
        registry.close()
        await server.stop(GRACE)


def _listen(server: grpc.aio.Server, where: Path | str, secret: str) -> str:
    if isinstance(where, Path):
        return _listen_on_socket(server, where.absolute(), secret)
    host = where.rpartition(":")[0]
    return f"grpc://{registry_secret.with_secret(f'{host}:{_bound(server, where, where)}', secret)}"


def _listen_on_socket(server: grpc.aio.Server, path: Path, secret: str) -> str:
    if len(bytes(path)) > LONGEST_PATH:
        raise ConfigurationError(f"the path of the registry's socket is longer than {LONGEST_PATH} bytes: {path}")
    if "," in str(path):
        raise ConfigurationError(f"gRPC takes no comma in the path of a socket: {path}")
    url = f"unix:{quote(str(path))}"
    _bound(server, url, path)
    path.chmod(0o600)
    return f"unix://{registry_secret.with_secret(quote(str(path)), secret)}" if secret else url


def _bound(server: grpc.aio.Server, target: str, where: Path | str) -> int:
    try:
        return server.add_insecure_port(target)
    except RuntimeError as error:
        raise ConfigurationError(f"the registry cannot listen on {where}") from error
