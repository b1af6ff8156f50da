"""The server that the conformance suite of Connect calls: Souk's, with the suite's service."""

import asyncio
import sys
from typing import Any

import framing
import grpc
from connectrpc.conformance.v1 import server_compat_pb2, service_pb2
from google.rpc import status_pb2

from souk.rpc.connect.server import serve_connect
from souk.rpc.server.dispatcher import Dispatcher

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Conformance:
    """The suite's service: answers as each request prescribes."""

    async def Unary(self, request: Any, context: Any) -> Any:
        asked = request.response_definition
        info = service_pb2.ConformancePayload.RequestInfo(
            request_headers=framing.headers(context.invocation_metadata()),
            timeout_ms=None if (remaining := context.time_remaining()) is None else int(remaining * 1_000),
        )
        info.requests.add().Pack(request)
        await context.send_initial_metadata(framing.pairs(asked.response_headers))
        trailing = framing.pairs(asked.response_trailers)
        context.set_trailing_metadata(trailing)
        await asyncio.sleep(asked.response_delay_ms / 1_000)
        if asked.HasField("error"):
            await self._fail(asked.error, info, trailing, context)
        return service_pb2.UnaryResponse(payload={"data": asked.response_data, "request_info": info})

    async def IdempotentUnary(self, request: Any, context: Any) -> Any:
        answer = await self.Unary(request, context)
        return service_pb2.IdempotentUnaryResponse(payload=answer.payload)

    async def _fail(self, error: Any, info: Any, trailing: Any, context: Any) -> None:
        status = status_pb2.Status(code=error.code, message=error.message, details=error.details)
        status.details.add().Pack(info)
        extra = ("grpc-status-details-bin", status.SerializeToString())
        await context.abort(_CODES[error.code], error.message, (*trailing, extra))


async def main() -> None:
    framing.read(sys.stdin.buffer, server_compat_pb2.ServerCompatRequest)
    dispatcher = Dispatcher(None)
    dispatcher.add(Conformance(), service_pb2.DESCRIPTOR.services_by_name["ConformanceService"])
    server = await serve_connect(dispatcher)
    framing.write(sys.stdout.buffer, server_compat_pb2.ServerCompatResponse(host="127.0.0.1", port=server.port))
    await server.wait_closed()


asyncio.run(main())
