"""Souk's gateway and Envoy, both in front of the library."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shop.user.v1 import user_pb2

from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import SystemClock
from souk.rpc.client.channel import Channel
from souk.rpc.grpc.transport import GrpcTransport
from souk.runtime.process.http.server import serving
from souk.testing.servers.envoy import EnvoyTranscoder
from tests.engines.transcoding.upstream import CONTRACT
from tests.gateway.conftest import Issuer
from tests.library import IMAGE, PACKAGE


@asynccontextmanager
async def souk_before(port: int) -> AsyncIterator[int]:
    """Serves Souk's gateway in front of a gRPC server; gives its port."""

    async def ready() -> bool:
        return True

    user = contract_of(user_pb2.DESCRIPTOR.services_by_name["UserService"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = GrpcTransport(lambda: (f"127.0.0.1:{port}",))
        channel = Channel(transport)
        gateway = Gateway([CONTRACT, user], lambda _: channel, Issuer(), GatewaySettings(), SystemClock(), ready)
        async with serving(gateway, listener, 1.0):
            yield listener.getsockname()[1]
        await transport.close()


@asynccontextmanager
async def envoy_before(port: int, folder: Path) -> AsyncIterator[int]:
    """Runs Envoy in front of a gRPC server; gives its port."""
    with EnvoyTranscoder(folder, port, IMAGE.SerializeToString(), f"{PACKAGE}.Library") as envoy:
        await envoy.start()
        yield envoy.port
