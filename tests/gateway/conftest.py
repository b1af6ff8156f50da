"""A gateway in process, before services whose answers a test prescribes, and a raw ASGI client for it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.message import Message
from joserfc import jwt
from joserfc.jwk import ECKey
from prometheus_client import CollectorRegistry
from shop.inventory.v1 import inventory_pb2
from shop.order.v1 import order_pb2
from shop.payment.v1 import payment_pb2
from shop.product.v1 import product_pb2
from shop.user.v1 import user_pb2

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.kernel.context import CallContext, current
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.runtime.process.http import server as http_server
from souk.runtime.service import speakers_of
from souk.telemetry.health import Health
from souk.testing.clocks import FakeClock

SERVICES = {
    "order": order_pb2.DESCRIPTOR.services_by_name["OrderService"],
    "product": product_pb2.DESCRIPTOR.services_by_name["ProductService"],
    "user": user_pb2.DESCRIPTOR.services_by_name["UserService"],
    "payment": payment_pb2.DESCRIPTOR.services_by_name["PaymentService"],
    "inventory": inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"],
}


@dataclass(frozen=True)
class Issuer:
    issuer: str = "https://issuer.test"
    audience: str = "souk"
    keys_method: str = "/shop.user.v1.UserService/ListSigningKeys"
    roles_method: str = "/shop.user.v1.UserService/GetRoles"
    api_keys_method: str = "/shop.user.v1.UserService/AuthenticateApiKey"
    client_tokens_method: str = "/shop.user.v1.UserService/CreateClientToken"
    login_method: str = "/shop.user.v1.UserService/CreateToken"
    logout_method: str = "/shop.user.v1.UserService/Logout"


class TestClock(FakeClock):
    """A clock whose date stands still until a test moves it; durations are real, plus what a test adds."""

    __test__ = False

    def monotonic(self) -> float:
        return SystemClock().monotonic() + super().monotonic()


@dataclass
class Scripted:
    """A servicer of every method: answers as a test prescribes, and records the requests."""

    behaviours: dict[str, Callable[[Any], Awaitable[Message]]] = field(default_factory=dict)
    asked: list[tuple[str, Message, CallContext]] = field(default_factory=list)
    replayed: bool = False

    def servicer(self, service: str) -> object:
        members = {method.name: self._method(method) for method in SERVICES[service].methods}
        return type(f"{service}Servicer", (), members)()

    def _method(self, method: Any) -> Any:
        async def behave(_: object, request: Message, context: Any) -> Message:
            self.asked.append((method.name, request, current()))
            if self.replayed:
                context.set_trailing_metadata((("idempotent-replayed", "true"),))
            behaviour = self.behaviours.get(method.name)
            return await behaviour(request) if behaviour else method.output_type._concrete_class()

        return behave

    def answer(self, name: str, reply: Message) -> None:
        async def behave(_: object) -> Message:
            return reply

        self.behaviours[name] = behave

    def refuse(self, name: str, error: BaseException) -> None:
        async def behave(_: object) -> Message:
            raise error

        self.behaviours[name] = behave

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _, _ in self.asked)

    @property
    def last(self) -> tuple[str, Any, CallContext]:
        return self.asked[-1]


@dataclass
class Response:
    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.raw_headers}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """An ASGI client that sends requests as they are, wrong ones too."""

    app: Gateway
    drained: int = 0

    async def send(
        self,
        method: str,
        target: str | bytes,
        body: bytes | Iterable[bytes] | object = b"",
        *,
        token: str = "",
        headers: Iterable[tuple[str, str]] = (),
        leave: bool = False,
    ) -> Response:
        target = target.encode() if isinstance(target, str) else target
        path, _, query = target.partition(b"?")
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        chunks = [body] if isinstance(body, bytes) else list(body)
        names = {name for name, _ in sent}
        if any(chunks) and b"content-type" not in names:
            sent.append((b"content-type", b"application/json"))
        if len(chunks) == 1:
            sent.append((b"content-length", str(len(chunks[0])).encode()))
        else:
            sent.append((b"transfer-encoding", b"chunked"))
        if token:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "headers": sent,
            "client": ("192.0.2.1", 1),
        }
        return await self._run(scope, chunks, leave=leave)

    async def _run(self, scope: dict[str, Any], chunks: list[bytes], *, leave: bool) -> Response:
        waiting, messages = list(chunks), []

        async def receive() -> dict[str, Any]:
            if not waiting:
                return {"type": "http.disconnect"}
            chunk = waiting.pop(0)
            self.drained += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or leave}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        if not messages:
            return Response(0, [], b"")
        start, *rest = messages
        return Response(start["status"], start["headers"], b"".join(part.get("body", b"") for part in rest))


@dataclass
class World:
    """The gateway of a test, with its client, services and clock."""

    gateway: Gateway
    client: Client
    services: Scripted
    clock: TestClock
    key: ECKey
    registry: CollectorRegistry
    calls_of: list[str]
    health: Health
    make: Callable[[RateLimits | None, OverloadGate | None], Gateway]

    def remake(self, limits: RateLimits | None, overload: OverloadGate | None = None) -> None:
        """Puts a gateway with these rate limits in the place of the one that has none."""
        self.gateway = self.client.app = self.make(limits, overload)

    def publish(self, *keys: ECKey) -> None:
        """Makes these the published verification keys."""
        self.services.answer("ListSigningKeys", user_pb2.SigningKeys(keys=[_jwk(key) for key in keys]))

    def token(self, subject: str = "U-demo", *, key: ECKey | None = None, header: Any = None, **claims: Any) -> str:
        now = self.clock.now() // MICROSECONDS
        issuer = Issuer()
        key = key or self.key
        payload = {
            "iss": issuer.issuer, "aud": issuer.audience, "sub": subject, "exp": now + 900, "iat": now,
            "roles": ["customer"],
        } | claims  # fmt: skip
        payload = {name: value for name, value in payload.items() if value is not ...}
        return jwt.encode({"alg": "ES256", "kid": key.kid, **(header or {})}, payload, key, algorithms=["ES256"])

    async def send(self, method: str, target: str | bytes, body: Any = b"", **more: Any) -> Response:
        return await self.client.send(method, target, body, **more)


def _jwk(key: ECKey) -> user_pb2.SigningKey:
    members = key.as_dict(private=False)
    return user_pb2.SigningKey(
        kty="EC", crv="P-256", x=members["x"], y=members["y"], kid=key.kid, use="sig", alg="ES256"
    )


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": kid})


SPEAKERS = speakers_of(app.services)


@pytest.fixture(autouse=True)
def servers_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a server that a test ends not wait for clients that do not know it yet: there are none."""
    monkeypatch.setattr(http_server, "LAST_CALLS", 0.0)


@pytest.fixture(name="new_key")
def _new_key() -> Callable[[str], ECKey]:
    return new_key


@asynccontextmanager
async def _world(settings: GatewaySettings) -> AsyncIterator[World]:
    clock, services, asked = TestClock(), Scripted(), []
    tokens = CallerTokens(b"k" * 32, "gateway", clock)
    dispatcher = Dispatcher(tokens, clock)
    for name, descriptor in SERVICES.items():
        dispatcher.add(services.servicer(name), descriptor)
    transport = InProcessTransport(dispatcher, clock)

    def channel_of(service: str) -> Channel:
        asked.append(service)
        return Channel(transport, tokens=tokens, audience="gateway", clock=clock)

    async def ready() -> bool:
        return not services.behaviours.get("not ready")

    contracts = [contract_of(descriptor) for descriptor in SERVICES.values()]
    health = Health(clock)

    def make(limits: RateLimits | None = None, overload: OverloadGate | None = None) -> Gateway:
        made.registry = CollectorRegistry()
        return Gateway(
            contracts, channel_of, Issuer(), settings, clock, ready,
            registry=made.registry, health=health, limits=limits, overload=overload,
            speakers=SPEAKERS,
        )  # fmt: skip

    made = World(None, Client(None), services, clock, new_key("key-1"), CollectorRegistry(), asked, health, make)  # type: ignore[arg-type]  # made next
    made.gateway = made.client.app = make()
    made.publish(made.key)
    yield made
    await transport.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with _world(GatewaySettings(metrics=True)) as made:
        yield made


@pytest.fixture
def world_of() -> Callable[[GatewaySettings], AbstractAsyncContextManager[World]]:
    """Makes a world whose gateway has other settings."""
    return _world
