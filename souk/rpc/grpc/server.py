"""The server of a process for calls over gRPC: a grpc.aio server that passes calls to a dispatcher."""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from souk.kernel.addresses import FREE_PORT, cannot_listen, grpc_target, socket_path
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.rpc.dates import DATE, Dating
from souk.rpc.grpc.checked_context import CheckedContext
from souk.rpc.grpc.transport import LIMITS
from souk.rpc.server.dispatcher import Dispatcher, Served
from souk.rpc.tls import MutualTls

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]  # not generic at run time
    ServicerContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_OPTIONS = (*LIMITS, ("grpc.so_reuseport", 0))  # two servers would share a port silently


class GrpcServer:
    """A gRPC server that is running. `address` is where it listens, with the port that it got."""

    def __init__(self, server: grpc.aio.Server, address: str, health_service: health.aio.HealthServicer) -> None:
        self.address = address
        self._server = server
        self._health = health_service

    @property
    def port(self) -> int:
        """The port number of the address."""
        return int(self.address.rpartition(":")[2])

    async def set_healthy(self, healthy: bool) -> None:
        """Sets what `grpc.health.v1.Health` answers for the whole process."""
        status = health_pb2.HealthCheckResponse.SERVING if healthy else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set("", status)

    async def stop(self, grace: float | None = None) -> None:
        """Reports that it stops and refuses further calls; running ones may end within `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    async def wait_closed(self) -> None:
        """Waits until the server has stopped."""
        await self._server.wait_for_termination()


class DatedHealth(health.aio.HealthServicer):  # type: ignore[misc]  # it comes without types
    """The health service, with a date in its answers, as every answer of HTTP has one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._dating = Dating(clock)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        context.set_trailing_metadata(((DATE, self._dating.now()),))
        return await super().Check(request, context)


async def serve(
    dispatcher: Dispatcher, address: str = FREE_PORT, tls: MutualTls | None = None, clock: Clock | None = None
) -> GrpcServer:
    """Starts to serve a dispatcher's methods, and health, at host:port or unix:PATH; port 0 takes any free port.

    Raises ConfigurationError when the port is taken, or no socket can be made.
    """
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((DispatchedHandlers(dispatcher),))
    health_service = DatedHealth(clock or SystemClock())
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    try:
        target = grpc_target(address)
        if tls is None or socket_path(address):
            port = server.add_insecure_port(target)
        else:
            port = server.add_secure_port(target, tls.grpc_server())
    except RuntimeError as error:
        raise ConfigurationError(cannot_listen(address)) from error
    # Each handler's context is a copy of the one in which the server is started, so that one is empty.
    await asyncio.get_running_loop().create_task(server.start(), context=Context())
    bound = address if socket_path(address) else f"{address.rpartition(':')[0]}:{port}"
    return GrpcServer(server, bound, health_service)


class DispatchedHandlers(grpc.GenericRpcHandler):
    """Finds the handler of a method in the dispatcher at each call, so that methods may be added later."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._handlers: dict[str, tuple[Served, Handler]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        path = handler_call_details.method
        served = self._dispatcher.find(path)
        if served is None:
            return None
        known = self._handlers.get(path)
        if known is None or known[0] is not served:
            known = self._handlers[path] = (served, _handler(served))
        return known[1]


def _handler(served: Served) -> "Handler":
    """Makes grpc.aio's handler of a method. The dispatcher decodes and encodes unary messages, and catches errors."""
    method = served.method
    decode = method.input.FromString if method.client_streaming else None
    encode = method.output.SerializeToString if method.server_streaming else None
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]

    async def serve(request: Any, context: Any) -> bytes | None:
        held = CheckedContext(context)
        answer = await served.serve(request, cast("ServicerContext", held))
        await held.ended()
        return answer

    return cast("Handler", make(serve, decode, encode))
