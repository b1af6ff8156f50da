"""The Notification service, with a fake of the User service."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user
from shop.user.v1.user_pb2_grpc import UserServiceServicer

from marketplace.notification.service import build, service
from souk.kernel.clock import SystemClock
from souk.kernel.context import Caller, current
from souk.kernel.errors import DomainError
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.runtime.service import ServiceContext, ServiceParts


class FakeUser(UserServiceServicer):
    """Fakes the User service: answers GetContact from `contacts`, or raises `error`."""

    def __init__(self) -> None:
        self.contacts = {"U-1": user.Contact(email="mina@example.com", name="Mina <b>M.</b>")}
        self.error: Exception | None = None
        self.callers: list[Caller] = []
        self.forgotten: list[tuple[str, str]] = []
        self.cannot_forget: Exception | None = None

    async def GetContact(self, request: user.GetContactRequest, context: Any) -> user.Contact:
        self.callers.append(current().caller)
        if self.error is not None:
            raise self.error
        if request.user_id not in self.contacts:
            raise DomainError("USER_NOT_FOUND", "the user does not exist")
        contact = user.Contact()
        contact.CopyFrom(self.contacts[request.user_id])
        if not request.with_browsers:
            contact.ClearField("browsers")
        return contact

    async def ForgetPushSubscription(self, request: user.ForgetPushSubscriptionRequest, context: Any) -> Empty:
        if self.cannot_forget is not None:
            raise self.cannot_forget
        self.forgotten.append((request.user_id, request.endpoint))
        return Empty()


@pytest.fixture
def users() -> FakeUser:
    return FakeUser()


@pytest.fixture
def host(tmp_path: Path, users: FakeUser) -> ServiceContext:
    key = b"k" * 32
    dispatcher = Dispatcher(CallerTokens(key, "user", SystemClock()))
    dispatcher.add(users, user.DESCRIPTOR.services_by_name["UserService"])
    channel = Channel(InProcessTransport(dispatcher), tokens=CallerTokens(key, "notification", SystemClock()))
    nothing: Any = SimpleNamespace()
    return ServiceContext(
        name=service.name,
        own_database=None,
        outbox=nothing,
        channel={"user": channel}.__getitem__,
        clock=SystemClock(),
        folder=tmp_path,
        instance="test",
        secret=b"s" * 32,
    )


@pytest.fixture
async def parts(host: ServiceContext) -> ServiceParts:
    return await build(host)


@pytest.fixture
def placed() -> order.Order:
    return order.Order(
        id="ORD-1",
        status=order.ORDER_STATUS_CONFIRMED,
        items=[order.OrderItem(product_id="P-101", quantity=2, price=1200)],
        total=2400,
        currency="EUR",
    )
