"""One suite of lost requests: the client of the bank, of Connect, of gRPC, and of the registries' HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from marketplace.payment.adapters.api_key import ApiKey
from marketplace.payment.adapters.http_provider import HttpProvider
from marketplace.payment.adapters.sandbox.app import SandboxApp
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.ports import ProviderSilent, ProviderUnavailable
from souk.discovery.external.http_api import Api, Unreached
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import options_of
from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.transport import Transport
from souk.runtime.process.http.server import serving
from souk.testing.cutting_relay import CuttingRelay
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.rpc.probe import Probe, tokens
from souk.testing.sending_suite import ANSWER, CALL, SendingSuite


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class BankSender:
    """Sends a charge to the sandbox bank."""

    def __init__(self, url: str, key: Path, relay: CuttingRelay) -> None:
        self.relay = relay
        self.provider = HttpProvider(url, 3.0, ApiKey(str(key)))
        self._number = 0

    async def send(self) -> Outcome:
        self._number += 1
        try:
            await self.provider.charge(f"{CALL.decode()}-{self._number}", "tok_visa", 500, "EUR")
        except ProviderUnavailable:
            return Outcome.NOT_SENT
        except ProviderSilent:
            return Outcome.UNKNOWN
        return Outcome.DONE


class TestBank(SendingSuite):
    @pytest.fixture
    async def sender(self, tmp_path: Path) -> AsyncIterator[BankSender]:
        bank = await SandboxBank.open(tmp_path, SystemClock())
        app = SandboxApp(bank, "sk_test")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            relay = CuttingRelay(listener.getsockname(), CALL, b"charged")

            async def booking(scope: Any, receive: Any, send: Any) -> None:
                async def sent(message: Any) -> None:
                    relay.booked.set()  # the bank's book has it before it is answered
                    await send(message)

                await app(scope, receive, sent)

            async with serving(booking, listener, 1.0):
                (tmp_path / "key").write_text("sk_test")
                sender = BankSender(f"http://127.0.0.1:{relay.port}", tmp_path / "key", relay)
                yield sender
                await sender.provider.close()
                await asyncio.to_thread(relay.close)
        await bank.close()


class BookingProbe(Probe):
    """Records every request."""

    relay: CuttingRelay

    async def Unary(self, request: pb.Ask, context: Any) -> pb.Answer:
        answer = await super().Unary(request, context)
        self.relay.booked.set()
        return answer


class CallSender:
    """Sends a call to the probe."""

    def __init__(self, transport: Transport, relay: CuttingRelay) -> None:
        self.relay = relay
        self.stub = ProbeStub(Channel(transport, tokens=tokens("test")))

    async def send(self) -> Outcome:
        try:
            await self.stub.Unary(pb.Ask(what="echo", notes=[CALL.decode(), ANSWER.decode()]), timeout=15)
        except CallFailed as failed:
            return failed.outcome
        return Outcome.DONE


def probing() -> tuple[BookingProbe, Dispatcher]:
    probe, dispatcher = BookingProbe(), Dispatcher(tokens("probe"))
    dispatcher.add(probe, pb.DESCRIPTOR.services_by_name["Probe"])
    return probe, dispatcher


async def call_sender(
    probe: BookingProbe, address: str, transport: Callable[[Callable[[], list[str]]], Transport]
) -> AsyncIterator[CallSender]:
    relay = probe.relay = CuttingRelay(host_and_port(address), CALL, ANSWER)
    made = transport(lambda: [f"127.0.0.1:{relay.port}"])
    yield CallSender(made, relay)
    await made.close()
    await asyncio.to_thread(relay.close)


class TestConnect(SendingSuite):
    @pytest.fixture
    async def sender(self) -> AsyncIterator[CallSender]:
        probe, dispatcher = probing()
        server = await serve_connect(dispatcher)
        async for sender in call_sender(probe, server.address, ConnectTransport):
            yield sender
        await server.stop()


class TestGrpc(SendingSuite):
    @pytest.fixture
    async def sender(self) -> AsyncIterator[CallSender]:
        probe, dispatcher = probing()
        server = await serve(dispatcher)
        async for sender in call_sender(probe, server.address, GrpcTransport):
            yield sender
        await server.stop()


class RegistrySender:
    """Sends a request to a registry's HTTP API."""

    def __init__(self, relay: CuttingRelay) -> None:
        self.relay = relay
        self.api = Api("registry", options_of(urlsplit(f"consul://127.0.0.1:{relay.port}"), 8500))

    async def send(self) -> Outcome:
        try:
            await self.api.call("PUT", "/v1/registration", json={"name": CALL.decode()})
        except Unreached:
            return Outcome.NOT_SENT
        except RegistryAway:
            return Outcome.UNKNOWN
        return Outcome.DONE


class TestRegistry(SendingSuite):
    @pytest.fixture
    async def sender(self) -> AsyncIterator[RegistrySender]:
        async def registry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            body = b'{"answer": "%s"}' % ANSWER
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            octets = b""
            while more := await reader.read(65_536):
                octets += more
                if CALL in octets:
                    octets = b""
                    relay.booked.set()
                    writer.write(head % len(body) + body)
            writer.close()

        server = await asyncio.start_server(registry, "127.0.0.1", 0)
        relay = CuttingRelay(server.sockets[0].getsockname(), CALL, ANSWER)
        sender = RegistrySender(relay)
        yield sender
        await sender.api.close()
        await asyncio.to_thread(relay.close)
        server.close()
