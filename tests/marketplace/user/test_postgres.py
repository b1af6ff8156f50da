"""Accounts on PostgreSQL, where transactions really run at once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.api_key import MOST_API_KEYS
from marketplace.user.service import build, service
from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError
from souk.runtime.service import ServiceContext
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.postgres.database import PostgresDatabase
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()
NEW = pb.CreateUserRequest(email="mina@example.com", password="correct horse", name="Mina")
LOGIN = pb.CreateTokenRequest(email="MINA@example.com", password="correct horse")
HOME = pb.CreateAddressRequest(name="M", line1="L", city="C", postal_code="1", country="DE")


@pytest.fixture
async def replicas(
    postgres_url: str,
    tmp_path: Path,
    clock: FakeClock,
    passwords: Any,
    obligations: Any,
) -> AsyncIterator[list[UserServicer]]:
    """Two replicas of the service on one database."""
    databases, servicers = [], []
    for number in range(2):
        database = await PostgresDatabase.open(postgres_url)
        databases.append(database)
        assert service.migrations is not None
        await migrate(database, platform_migrations(), PLATFORM)
        await migrate(database, service.migrations, service.name)
        nothing: Any = None
        host = ServiceContext(
            "user", database, Outbox("user", clock), nothing, clock, tmp_path, f"replica-{number}", b"s" * 32
        )
        parts = await build(host, passwords, obligations)
        assert isinstance(parts.servicer, UserServicer)
        servicers.append(parts.servicer)
    yield servicers
    for database in databases:
        await database.close()


async def outcomes(*calls: Any) -> list[str]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, DomainError) for outcome in found if isinstance(outcome, BaseException)), found
    return sorted(outcome.reason if isinstance(outcome, DomainError) else "ok" for outcome in found)


async def test_an_email_is_given_once(replicas: list[UserServicer], acting: Any) -> None:
    assert await outcomes(*(one.CreateUser(NEW, CONTEXT) for one in replicas * 4)) == ["EMAIL_TAKEN"] * 7 + ["ok"]
    others = [
        await replicas[0].CreateUser(
            pb.CreateUserRequest(email=f"{name}@x.de", password="long enough", name=name), CONTEXT
        )
        for name in "abcd"
    ]

    async def take(user: pb.User, one: UserServicer) -> pb.User:
        token = await one.CreateToken(pb.CreateTokenRequest(email=user.email, password="long enough"), CONTEXT)
        with acting(user.id, token):
            new = pb.UpdateMeRequest(email="free@x.de", current_password="long enough")
            return await one.UpdateMe(new, CONTEXT)

    claims = (take(other, one) for other, one in zip(others, replicas * 2, strict=True))
    assert await outcomes(*claims) == ["EMAIL_TAKEN"] * 3 + ["ok"]


async def test_failures_count_across_replicas(replicas: list[UserServicer]) -> None:
    wrong = pb.CreateTokenRequest(email="nobody@example.com", password="x")
    found = await outcomes(*(one.CreateToken(wrong, CONTEXT) for one in replicas * 10))
    assert found == ["BAD_CREDENTIALS"] * 10 + ["TOO_MANY_ATTEMPTS"] * 10


async def test_one_successor_and_one_first_key_across_replicas(replicas: list[UserServicer]) -> None:
    keys = await asyncio.gather(*(one.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT) for one in replicas))
    assert keys[0] == keys[1]
    await replicas[0].CreateUser(NEW, CONTEXT)
    token = (await replicas[0].CreateToken(LOGIN, CONTEXT)).refresh_token
    request = pb.CreateTokenRequest(refresh_token=token)
    tokens = await asyncio.gather(*(one.CreateToken(request, CONTEXT) for one in replicas * 3))
    assert len({token.refresh_token for token in tokens}) == 1


async def test_an_erasure_leaves_nothing_behind_whatever_runs_beside_it(
    replicas: list[UserServicer], acting: Any
) -> None:
    mina = await replicas[0].CreateUser(NEW, CONTEXT)
    with acting(mina.id, await replicas[0].CreateToken(LOGIN, CONTEXT)):
        await outcomes(
            *(one.CreateAddress(HOME, CONTEXT) for one in replicas * 2),
            *(one.CreateToken(LOGIN, CONTEXT) for one in replicas),
            replicas[0].DeleteMe(pb.DeleteMeRequest(current_password=LOGIN.password), CONTEXT),
            *(one.CreateAddress(HOME, CONTEXT) for one in replicas * 2),
        )
        assert not (await replicas[1].ListAddresses(pb.ListAddressesRequest(), CONTEXT)).addresses


async def test_addresses_that_are_saved_at_once_stay_below_the_cap(replicas: list[UserServicer], acting: Any) -> None:
    mina = await replicas[0].CreateUser(NEW, CONTEXT)
    with acting(mina.id):
        for _ in range(45):
            await replicas[0].CreateAddress(HOME, CONTEXT)
        calls = [each.CreateAddress(HOME, CONTEXT) for each in replicas * 5]
        found = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each.reason for each in found if isinstance(each, DomainError)]
        assert refused == ["TOO_MANY_ADDRESSES"] * 5
        assert sum(isinstance(each, pb.Address) for each in found) == 5


async def test_replicas_make_no_key_over_the_limit_and_see_each_others(
    replicas: list[UserServicer], acting: Any, clock: FakeClock
) -> None:
    first, second = replicas
    mina = await first.CreateUser(NEW, CONTEXT)
    token = await first.CreateToken(LOGIN, CONTEXT)

    async def make(user: UserServicer) -> pb.NewApiKey:
        with acting(mina.id, token):
            request = pb.CreateApiKeyRequest(name="till", scopes=["order:write"], current_password=NEW.password)
            return await user.CreateApiKey(request, CONTEXT)

    made = [await make(first) for _ in range(MOST_API_KEYS - 1)]
    assert await outcomes(*(make(user) for user in replicas * 3)) == ["TOO_MANY_API_KEYS"] * 5 + ["ok"]
    shown = pb.AuthenticateApiKeyRequest(id=made[0].api_key.id, digest=hashlib.sha256(made[0].key.encode()).digest())
    owners = await asyncio.gather(*(user.AuthenticateApiKey(shown, CONTEXT) for user in replicas * 3))
    assert {owner.user_id for owner in owners} == {mina.id}
    with acting(mina.id):
        await second.DeleteApiKey(pb.DeleteApiKeyRequest(id=shown.id), CONTEXT)
    assert await outcomes(first.AuthenticateApiKey(shown, CONTEXT)) == ["API_KEY_NOT_FOUND"]
