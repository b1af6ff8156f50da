"""The User service on a SQLite file of its own, with passwords that are cheap to hash."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.service import UserServicer, build, service
from souk.hosting.service import Host, Parts
from souk.kernel.clock import FakeClock
from souk.kernel.context import CallContext, Caller, use
from souk.testing.service_host import CallRecord, HeldToContract, service_host

CONTEXT: Any = CallRecord()
As = Callable[[str], AbstractContextManager[object]]


class PlainPasswords:
    """Hashes by reversing; counts how often it was asked to verify, and against what."""

    def __init__(self) -> None:
        self.verified: list[str | None] = []

    async def hash(self, password: str) -> str:
        return password[::-1]

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.verified.append(password_hash)
        return password_hash == password[::-1]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def passwords() -> PlainPasswords:
    return PlainPasswords()


@pytest.fixture
async def host(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Host]:
    async with service_host(service, tmp_path, clock=clock) as host:
        yield host


@pytest.fixture
async def parts(host: Host, passwords: PlainPasswords) -> Parts:
    return await build(host, passwords)


@pytest.fixture
def user(parts: Parts) -> UserServicer:
    assert isinstance(parts.servicer, UserServicer)
    return cast(UserServicer, HeldToContract(parts.servicer))


@pytest.fixture
def acting() -> As:
    """Makes calls inside the block come from the user of that id."""

    @contextmanager
    def acting(user_id: str) -> Iterator[None]:
        with use(CallContext(caller=Caller(subject=user_id, service="gateway"))):
            yield

    return acting


@pytest.fixture
async def mina(user: UserServicer) -> pb.User:
    request = pb.CreateUserRequest(email="Mina@Example.com", password="correct horse", name="Mina")
    return await user.CreateUser(request, CONTEXT)
