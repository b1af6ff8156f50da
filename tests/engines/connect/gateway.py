"""A gateway before the suite's service, for the suite's clients of Connect, gRPC and gRPC-Web."""

import asyncio
import os
import sys
from dataclasses import replace

import framing
from conformance_service import OWN_DEADLINE, Conformance
from connectrpc.conformance.v1 import server_compat_pb2, service_pb2
from shop.user.v1 import user_pb2

from souk.descriptors.contract import Access, Contract, Policy, contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import SystemClock
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import listen

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ConformanceService"]
USER = user_pb2.DESCRIPTOR.services_by_name["UserService"]
OPEN = Policy(access=Access.ANYONE, timeout=2 * OWN_DEADLINE)


class Issuer:
    """The methods that every gateway must know, which no test calls."""

    issuer, audience = "https://issuer.test", "souk"
    keys_method = "/shop.user.v1.UserService/ListSigningKeys"
    roles_method = "/shop.user.v1.UserService/GetRoles"
    api_keys_method = client_tokens_method = login_method = logout_method = ""


def opened() -> Contract:
    """Gives the suite's contract, which knows no policy, with every method open to anyone."""
    contract = contract_of(SERVICE)
    return replace(contract, methods={path: replace(one, policy=OPEN) for path, one in contract.methods.items()})


async def ready() -> bool:
    return True


async def main() -> None:
    runner = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the log goes where the runner reads it
    framing.read(sys.stdin.buffer, server_compat_pb2.ServerCompatRequest)
    clock = SystemClock()
    dispatcher = Dispatcher(None, clock)
    dispatcher.add(Conformance(), SERVICE)
    transport = InProcessTransport(dispatcher, clock)

    def channel_of(_: str) -> Channel:
        return Channel(transport, clock=clock)

    settings = GatewaySettings()
    gateway = Gateway([opened(), contract_of(USER)], channel_of, Issuer(), settings, clock, ready)  # type: ignore[arg-type]
    listener = listen("127.0.0.1", 0)
    async with serving(gateway, listener, 1.0) as task:
        said = server_compat_pb2.ServerCompatResponse(host="127.0.0.1", port=listener.getsockname()[1])
        framing.write(runner, said)
        await task


asyncio.run(main())
