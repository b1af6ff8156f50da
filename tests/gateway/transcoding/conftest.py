"""A gateway in front of the library, which records what it is asked and answers as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.message import Message
from shop.user.v1 import user_pb2

from souk.descriptors.contract import Method, contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import SystemClock
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from tests.gateway.conftest import Client, Issuer, Response
from tests.library import LIBRARY


@dataclass
class Library:
    """The library's gateway, a client of it, and what the library was asked."""

    gateway: Gateway
    client: Client
    requests: list[tuple[str, Any]] = field(default_factory=list)
    behaviours: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a stream of requests has ended, in whichever way."""

    @property
    def asked(self) -> Any:
        """The last request."""
        return self.requests[-1][1]

    async def send(self, method: str, target: str | bytes, body: Any = b"", **more: Any) -> Response:
        return await self.client.send(method, target, body, **more)


@dataclass
class _Behaviour:
    """Makes the methods of a servicer that records its requests and behaves as a test says."""

    requests: list[tuple[str, Any]]
    behaviours: dict[str, Callable[[Any], Any]]
    ended: asyncio.Event

    def servicer(self) -> object:
        return type("Servicer", (), {m.name: self._method(m) for m in contract_of(LIBRARY).methods.values()})()

    def _method(self, method: Method) -> Any:
        if method.client_streaming:
            return self._receiving(method.name, method.output)
        return self._streaming(method.name) if method.server_streaming else self._unary(method.name, method.output)

    def _unary(self, name: str, output: type[Message]) -> Any:
        async def behave(_: object, request: Any, context: Any) -> Message:
            self.requests.append((name, request))
            if name in self.behaviours:
                return self.behaviours[name](request)  # type: ignore[no-any-return]
            return request if type(request) is output else output()

        return behave

    def _streaming(self, name: str) -> Any:
        async def behave(_: object, request: Any, context: Any) -> AsyncIterator[Message]:
            self.requests.append((name, request))
            async for message in self.behaviours[name](request):
                yield message

        return behave

    def _receiving(self, name: str, output: type[Message]) -> Any:
        async def behave(_: object, messages: AsyncIterator[Any], context: Any) -> Message:
            try:
                async for message in messages:
                    self.requests.append((name, message))  # each as it comes
            finally:
                self.ended.set()
            return self.behaviours[name](None) if name in self.behaviours else output()

        return behave


@pytest.fixture
async def library() -> AsyncIterator[Library]:
    clock = SystemClock()
    requests: list[tuple[str, Any]] = []
    behaviours: dict[str, Callable[[Any], Any]] = {}
    tokens = CallerTokens(b"k" * 32, "gateway", clock)
    dispatcher = Dispatcher(tokens, clock)
    ended = asyncio.Event()
    dispatcher.add(_Behaviour(requests, behaviours, ended).servicer(), LIBRARY)
    transport = InProcessTransport(dispatcher, clock)
    contracts = [contract_of(LIBRARY), contract_of(user_pb2.DESCRIPTOR.services_by_name["UserService"])]

    async def ready() -> bool:
        return True

    gateway = Gateway(
        contracts,
        lambda _: Channel(transport, tokens=tokens, audience="gateway", clock=clock),
        Issuer(),
        GatewaySettings(drain_timeout=0.5),
        clock,
        ready,
    )
    yield Library(gateway, Client(gateway), requests, behaviours, ended)
    await transport.close()
