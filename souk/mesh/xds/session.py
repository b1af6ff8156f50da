"""One connected sidecar: reads its requests, and writes it what its stream has to send, when it can take it."""

import asyncio
from typing import TYPE_CHECKING

import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from souk.mesh.xds.exchange import DeltaNode, DeltaRequest, SidecarRefused, decode, encode
from souk.mesh.xds.node_record import NodeRecord
from souk.mesh.xds.observer import ExchangeObserver

if TYPE_CHECKING:
    StreamContext = grpc.aio.ServicerContext[bytes, bytes]

FIRST_REQUEST = 10.0
"""Seconds in which a sidecar has to name its node."""

log = structlog.get_logger("souk.mesh")


async def read_first(context: "StreamContext") -> tuple[DeltaNode, DeltaRequest]:
    """Reads the first request, which names the node. Raises SidecarRefused when it does not come in time."""
    try:
        async with asyncio.timeout(FIRST_REQUEST):
            found = await _read(context)
    except TimeoutError:
        found = None
    if found is None:
        raise SidecarRefused("it has not named its node")
    return found


class StreamSession:
    """One stream of a node that was authorised. A later stream of the same node replaces it."""

    def __init__(self, node: str, record: NodeRecord, context: "StreamContext", observer: ExchangeObserver) -> None:
        self._node, self._record, self._context, self._observer = node, record, context, observer
        self._sent: dict[str, float] = {}
        self._stream = record.connect()
        observer.connected(node)

    async def run(self, first: DeltaRequest) -> None:
        """Serves the stream until the sidecar ends it, or another one replaces it. Raises SidecarRefused."""
        try:
            self._receive(first)
            reading = asyncio.create_task(self._read_on())
            try:
                await self._write_on(reading)
            finally:
                reading.cancel()
            if reading.done():
                await reading
            else:
                raise SidecarRefused("the node has another stream, or is gone", "ABORTED")
        finally:
            self._record.disconnect(self._stream)
            if self._record.stream is None:
                self._observer.disconnected(self._node)

    async def _read_on(self) -> None:
        try:
            while (found := await _read(self._context)) is not None:
                self._receive(found[1])
        finally:
            self._record.notify()

    async def _write_on(self, reading: "asyncio.Task[None]") -> None:
        """Writes until the reading has ended or the stream was replaced. Nothing is made before it can be written."""
        while not reading.done() and self._record.stream is self._stream:
            response = self._stream.response()
            if response is None:
                await self._record.change()
            else:
                self._sent[response.nonce] = asyncio.get_running_loop().time()
                await self._context.write(encode(response))
                self._observer.sent(response.type_url)

    def _receive(self, request: DeltaRequest) -> None:
        rejection = self._stream.receive(request)
        if (sent := self._sent.pop(request.nonce, None)) is not None:
            self._observer.answered(request.type_url, asyncio.get_running_loop().time() - sent)
        if rejection is not None:
            self._observer.rejected(self._node, request.type_url, rejection)
            log.warning(
                "a sidecar rejected a resource",
                node=self._node,
                type=request.type_url.rpartition(".")[2],
                resource=rejection.name,
                version=rejection.version,
                error=rejection.error,
            )
        self._record.notify()


async def _read(context: "StreamContext") -> tuple[DeltaNode, DeltaRequest] | None:
    """Reads a request; None at the end of the stream. Raises SidecarRefused when it is no request."""
    data: object = await context.read()
    if not isinstance(data, bytes):
        return None
    try:
        return decode(data)
    except DecodeError:
        raise SidecarRefused("what it sent is not a DeltaDiscoveryRequest") from None
