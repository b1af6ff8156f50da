"""The User service on a SQLite file, with a fake of the hashing of passwords that costs nothing."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.service import build, service
from marketplace.user.servicer import UserServicer
from souk.kernel.context import CallContext, Caller, use
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, HeldToContract, service_host

CONTEXT: Any = CallRecord()
As = Callable[..., AbstractContextManager[object]]
HOME = "192.0.2.1"


class PlainPasswords:
    """Fakes the hashing of passwords by reversing them; records each verification."""

    def __init__(self) -> None:
        self.verified: list[str | None] = []

    async def hash(self, password: str) -> str:
        return password[::-1]

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.verified.append(password_hash)
        return password_hash == password[::-1]


class Free:
    """Fakes the port to Order: a user owes nothing, unless a test says so."""

    def __init__(self) -> None:
        self.orders, self.money = False, 0

    async def has_open_orders(self) -> bool:
        return self.orders

    async def balance(self) -> int:
        return self.money


@pytest.fixture
def obligations() -> Free:
    return Free()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def passwords() -> PlainPasswords:
    return PlainPasswords()


@pytest.fixture
async def host(tmp_path: Path, clock: FakeClock) -> AsyncIterator[ServiceContext]:
    async with service_host(service, tmp_path, clock=clock) as host:
        yield host


@pytest.fixture
async def parts(host: ServiceContext, passwords: PlainPasswords, obligations: Free) -> ServiceParts:
    return await build(host, passwords, obligations)


@pytest.fixture
def user(parts: ServiceParts) -> UserServicer:
    assert isinstance(parts.servicer, UserServicer)
    return cast(UserServicer, HeldToContract(parts.servicer))


@pytest.fixture
def acting() -> As:
    """Makes calls inside the block come from the user of that id, in the login of a token if one is given."""

    @contextmanager
    def acting(user_id: str = "", token: pb.Token | None = None, address: str = HOME) -> Iterator[None]:
        caller = Caller(subject=user_id, service="gateway", session=session_of(token), address=address)
        with use(CallContext(caller=caller)):
            yield

    return acting


def session_of(token: pb.Token | None) -> str:
    """Gives the session that an access token names."""
    if token is None:
        return ""
    payload = token.access_token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"])


@pytest.fixture
async def mina(user: UserServicer) -> pb.User:
    request = pb.CreateUserRequest(email="Mina@Example.com", password="correct horse", name="Mina")
    return await user.CreateUser(request, CONTEXT)
