"""Takes the reports of sidecars: Envoy's Access Log Service, on the socket of the control plane."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from souk.mesh.envoy.bootstrap import TOKEN
from souk.mesh.envoy.messages import message_class

if TYPE_CHECKING:
    ServerContext = grpc.aio.ServicerContext[bytes, bytes]

METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
_MESSAGE = "envoy.service.accesslog.v3.StreamAccessLogsMessage"

IsSidecar = Callable[[str, str, str], bool]
"""Decides whether a token proves that a sidecar is that of a service's instance: service, instance, token."""
Report = Callable[[Iterable[Any]], None]
"""Takes the tries that a sidecar reports, as HTTPAccessLogEntries."""

log = structlog.get_logger("souk.mesh")


class ReportsHandler(grpc.GenericRpcHandler):
    """Finds the one method; each of its streams is the reports of one sidecar."""

    def __init__(self, is_sidecar: IsSidecar, report: Report) -> None:
        self._is_sidecar, self._report = is_sidecar, report
        self._handler = cast("Any", grpc.stream_unary_rpc_method_handler)(self._take)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handler if handler_call_details.method == METHOD else None

    async def _take(self, requests: object, context: "ServerContext") -> bytes:
        """Takes reports until the sidecar ends the stream. The first message says whose sidecar it is."""
        known = False
        while isinstance(data := cast("object", await context.read()), bytes):
            try:
                message: Any = message_class(_MESSAGE).FromString(data)
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is not a StreamAccessLogsMessage")
            if not known:
                node = message.identifier.node
                if not self._is_sidecar(node.cluster, node.id, _token(context)):
                    log.warning("reports of a sidecar were refused", node=node.id[:100])
                    await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"its {TOKEN} does not prove whose it is")
                known = True
            self._report(message.http_logs.log_entry)
        return b""


def _token(context: "ServerContext") -> str:
    tokens = [str(value) for name, value in context.invocation_metadata() or () if name == TOKEN]
    return tokens[0] if len(tokens) == 1 else ""
