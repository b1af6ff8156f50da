"""An application that answers each call with an order of about 1 KiB, by gRPC and by Connect.

python -m bench.mesh.hop_server GRPC_ADDRESS CONNECT_ADDRESS      it answers each line with its CPU seconds
"""

import asyncio
import sys
import time
from typing import Any

import uvloop
from shop.order.v1 import order_pb2

from bench.gateway_stub import order
from souk.kernel.clock import SystemClock
from souk.rpc.caller_token import CallerTokens
from souk.rpc.connect.server import serve_connect
from souk.rpc.grpc.server import serve
from souk.rpc.server.dispatcher import Dispatcher

KEY = b"k" * 32
SERVICE, CALLER = "order", "gateway"
BYTES = 1024


class Orders:
    """A servicer that answers with the same order each time."""

    def __init__(self) -> None:
        self._order = order()
        while self._order.ByteSize() < BYTES:
            self._order.items.append(self._order.items[0])

    async def GetOrder(self, request: Any, context: Any) -> order_pb2.Order:
        return self._order


async def _serve(grpc_address: str, connect_address: str) -> None:
    clock = SystemClock()
    dispatcher = Dispatcher(CallerTokens(KEY, SERVICE, clock), clock)
    dispatcher.add(Orders(), order_pb2.DESCRIPTOR.services_by_name["OrderService"])
    servers = [await serve(dispatcher, grpc_address), await serve_connect(dispatcher, connect_address)]
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)
    for server in servers:
        await server.stop(1.0)


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
