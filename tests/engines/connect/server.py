"""The server that the conformance suite of Connect calls: Souk's, with the suite's service."""

import asyncio
import sys

import framing
from conformance_service import Conformance
from connectrpc.conformance.v1 import server_compat_pb2, service_pb2

from souk.rpc.connect.server import serve_connect
from souk.rpc.server.dispatcher import Dispatcher


async def main() -> None:
    framing.read(sys.stdin.buffer, server_compat_pb2.ServerCompatRequest)
    dispatcher = Dispatcher(None)
    dispatcher.add(Conformance(), service_pb2.DESCRIPTOR.services_by_name["ConformanceService"])
    server = await serve_connect(dispatcher)
    framing.write(sys.stdout.buffer, server_compat_pb2.ServerCompatResponse(host="127.0.0.1", port=server.port))
    await server.wait_closed()


asyncio.run(main())
