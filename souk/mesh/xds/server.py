"""The server of delta ADS: a thin shell of grpc.aio, on a unix socket, around one `DeltaStream` for each sidecar."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import structlog

from souk.kernel.addresses import cannot_listen, grpc_target, unix_address
from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy.bootstrap import TOKEN
from souk.mesh.xds.delta_stream import Acknowledgement
from souk.mesh.xds.exchange import METHOD, DeltaNode, SidecarRefused
from souk.mesh.xds.node_record import NodeRecord
from souk.mesh.xds.observer import ExchangeObserver
from souk.mesh.xds.session import StreamSession, read_first
from souk.mesh.xds.snapshot import PublishedVersion, ResourceSnapshot, changed_versions
from souk.mesh.xds.subscription import Rejection
from souk.runtime.data.directory import private

if TYPE_CHECKING:
    ServerContext = grpc.aio.ServicerContext[bytes, bytes]

MOST_STREAMS = 4_096
"""Streams at once; further ones are refused, and their sidecars try again."""
_SOCKET = 0o600
# A sidecar pings a control plane that has nothing to say; gRPC would end its connection for that.
_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0))

Authorise = Callable[[DeltaNode, str], bool]
"""Decides whether a token proves that a sidecar is that node. Raises SidecarRefused if that says of itself what cannot
be used."""

log = structlog.get_logger("souk.mesh")


class AdsServer:
    """Serves each sidecar the resources of its newest snapshot. It is used by one event loop."""

    def __init__(self, authorise: Authorise, observer: ExchangeObserver | None = None) -> None:
        self._authorise, self._observer = authorise, observer or ExchangeObserver()
        self._records: dict[str, NodeRecord] = {}
        self._server: grpc.aio.Server | None = None

    def publish(self, snapshots: Mapping[str, ResourceSnapshot]) -> frozenset[PublishedVersion]:
        """Replaces the snapshots of these nodes; those of others stay. A node need not be connected yet.

        Returns what has changed for nodes that had a snapshot.
        """
        changed = set[PublishedVersion]()
        for node, snapshot in snapshots.items():
            record = self._record(node)
            if record.snapshot is not None:
                changed |= changed_versions(node, snapshot, record.snapshot)
            record.publish(snapshot)
        return frozenset(changed)

    def rejected(self, published: Iterable[PublishedVersion]) -> list[tuple[PublishedVersion, Rejection]]:
        """Gives which of these versions their nodes have rejected, and do not have, with the reasons."""
        return [
            (one, rejection)
            for one in sorted(published)
            if (taken := self.acknowledgements(one.node).get(one.type_url)) is not None
            for rejection in taken.rejections
            if (rejection.name, rejection.version or "") == (one.name, one.version)
        ]

    def undecided(self, published: Iterable[PublishedVersion]) -> frozenset[str]:
        """Gives the nodes that may still reject one of these versions: they are away, or have not taken everything."""
        nodes = {one.node for one in published} & self._records.keys()
        return frozenset(node for node in nodes if not self._records[node].at_rest)

    def forget(self, node: str) -> None:
        """Drops all that is known of a node that has gone. If it is still connected, its stream ends."""
        record = self._records.pop(node, None)
        if record is not None and record.stream is not None:
            record.disconnect(record.stream)

    def acknowledgements(self, node: str) -> Mapping[str, Acknowledgement]:
        """Gives by type what a node has, and what it has rejected and why; nothing for a node that is not known."""
        record = self._records.get(node)
        return record.acknowledgements() if record is not None else {}

    @property
    def connected(self) -> frozenset[str]:
        """The nodes whose sidecars are connected."""
        return frozenset(node for node, record in self._records.items() if record.stream is not None)

    async def settled(self, node: str) -> Mapping[str, Acknowledgement]:
        """Waits until a node is connected and has all that it is to have, but for what it has rejected."""
        record = self._record(node)
        while not record.at_rest:
            await record.change()
        return record.acknowledgements()

    async def start(self, socket: Path, further: Sequence[grpc.GenericRpcHandler] = ()) -> None:
        """Listens on a unix socket that only this user can open. The `further` handlers serve other methods there.

        Raises ConfigurationError, in one line, when no socket can be made there.
        """
        private(socket.parent)
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_STREAMS)
        server.add_generic_rpc_handlers((_AdsHandlers(self._serve), *further))
        address = unix_address(socket)
        try:
            server.add_insecure_port(grpc_target(address))
        except RuntimeError as error:
            raise ConfigurationError(cannot_listen(address)) from error
        self._server = server
        # Each handler's context is a copy of the one in which the server is started, so that one is empty.
        await asyncio.get_running_loop().create_task(server.start(), context=Context())
        _close_to_others(socket)

    async def stop(self) -> None:
        """Ends all streams. Sidecars keep what they have, and go on trying to connect."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def _record(self, node: str) -> NodeRecord:
        return self._records.setdefault(node, NodeRecord())

    async def _serve(self, requests: object, context: "ServerContext") -> None:
        """Serves one stream until either side ends it."""
        try:
            node, request = await read_first(context)
            self._require_authorised(node, context)
            await StreamSession(node.id, self._record(node.id), context, self._observer).run(request)
        except SidecarRefused as refusal:
            log.warning("a sidecar was refused", reason=str(refusal))
            await context.abort(grpc.StatusCode[refusal.code], str(refusal))

    def _require_authorised(self, node: DeltaNode, context: "ServerContext") -> None:
        tokens = [str(value) for name, value in context.invocation_metadata() or () if name == TOKEN]
        if len(tokens) != 1 or not node.id or not self._authorise(node, tokens[0]):
            raise SidecarRefused(f"its {TOKEN} does not prove that it is {node.id[:100]!r}", "UNAUTHENTICATED")


class _AdsHandlers(grpc.GenericRpcHandler):
    """Finds the one method."""

    def __init__(self, serve: Callable[[object, "ServerContext"], Awaitable[None]]) -> None:
        self._handler = cast("Any", grpc.stream_stream_rpc_method_handler)(serve)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handler if handler_call_details.method == METHOD else None


def _close_to_others(socket: Path) -> None:
    socket.chmod(_SOCKET)
