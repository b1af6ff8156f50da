"""API keys: made by who knows the password in an open login, shown once, kept as digests, revoked and ended."""

import hashlib
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.api_key import DAY, DEFAULT_DAYS, MOST_API_KEYS
from marketplace.user.servicer import UserServicer
from marketplace.user.store.api_keys import KEPT_AFTER_END, ApiKeyStore
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import DomainError, InvalidArgument, Unauthenticated
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()
PASSWORD = "correct horse"


@pytest.fixture
async def token(user: UserServicer, mina: pb.User) -> pb.Token:
    return await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password=PASSWORD), CONTEXT)


@pytest.fixture
def make(user: UserServicer, mina: pb.User, token: pb.Token, acting: Any) -> Callable[..., Any]:
    async def make(name: str = "till", password: str = PASSWORD, session: Any = token, **more: Any) -> pb.NewApiKey:
        scopes = more.pop("scopes", ["order:write", "product:read"])
        request = pb.CreateApiKeyRequest(name=name, scopes=scopes, current_password=password, **more)
        with acting(mina.id, session):
            return await user.CreateApiKey(request, CONTEXT)

    return make


def shown(key: str) -> pb.AuthenticateApiKeyRequest:
    """What a gateway asks when somebody shows a key."""
    return pb.AuthenticateApiKeyRequest(id=key.split("_")[1], digest=hashlib.sha256(key.encode()).digest())


async def listed(user: UserServicer, acting: Any, user_id: str) -> list[pb.ApiKey]:
    with acting(user_id):
        return list((await user.ListApiKeys(pb.ListApiKeysRequest(), CONTEXT)).api_keys)


async def test_a_key_is_shown_once_and_is_its_owners(
    user: UserServicer, mina: pb.User, make: Any, acting: Any, clock: FakeClock, host: ServiceContext
) -> None:
    made = await make(scopes=["product:read", "order:write", "order:write"])
    assert re.fullmatch(r"souk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", made.key)
    assert made.key.startswith(f"souk_{made.api_key.id}_")
    assert made.api_key.expires_at.ToMicroseconds() == clock.now() + DEFAULT_DAYS * DAY
    owner = await user.AuthenticateApiKey(shown(made.key), CONTEXT)
    assert (owner.user_id, list(owner.scopes)) == (mina.id, ["order:write", "product:read"])
    (known,) = await listed(user, acting, mina.id)
    assert (known.id, known.name, list(known.scopes)) == (made.api_key.id, "till", ["order:write", "product:read"])
    rows = await host.database.read(lambda tx: tx.fetch("SELECT * FROM api_keys"))
    assert made.key.split("_", 2)[2] not in repr([tuple(dict(row).values()) for row in rows])


async def test_two_keys_are_never_one(make: Any) -> None:
    assert len({(await make()).key for _ in range(5)}) == 5


async def test_its_use_is_recorded_about_once_a_minute(
    user: UserServicer, mina: pb.User, make: Any, acting: Any, clock: FakeClock
) -> None:
    made = await make()
    assert not (await listed(user, acting, mina.id))[0].HasField("last_used_at")
    first = clock.now()
    for seconds, recorded in ((0, first), (59, first), (1, first + 60 * MICROSECONDS)):
        clock.advance(seconds)
        await user.AuthenticateApiKey(shown(made.key), CONTEXT)
        assert (await listed(user, acting, mina.id))[0].last_used_at.ToMicroseconds() == recorded


@pytest.mark.parametrize("changed", ["id", "secret", "digest", "empty", "nul"])
async def test_what_is_not_the_key_is_nobodys(user: UserServicer, make: Any, changed: str) -> None:
    request = shown((await make()).key)
    if changed == "id":
        request.id = "0" * 16
    elif changed == "secret":
        request.digest = hashlib.sha256(b"souk_guess").digest()
    elif changed == "digest":
        request.digest = request.digest[:31]
    else:
        request.id = "" if changed == "empty" else "nul\0"
    with pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
        await user.AuthenticateApiKey(request, CONTEXT)


async def test_it_ends(user: UserServicer, mina: pb.User, make: Any, acting: Any, clock: FakeClock) -> None:
    made = await make(expires_in_days=1)
    clock.advance(DAY / MICROSECONDS - 1)
    await user.AuthenticateApiKey(shown(made.key), CONTEXT)
    clock.advance(1)
    with pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
        await user.AuthenticateApiKey(shown(made.key), CONTEXT)
    assert len(await listed(user, acting, mina.id)) == 1, "its owner sees why a program is refused"


async def test_an_ended_key_is_forgotten_later(make: Any, host: ServiceContext, clock: FakeClock) -> None:
    store = ApiKeyStore(clock)
    key_id = (await make(expires_in_days=1)).api_key.id
    for seconds, kept in (((DAY + KEPT_AFTER_END) / MICROSECONDS - 1, True), (1, False)):
        clock.advance(seconds)
        await host.database.run(store.forget_expired)
        assert (await host.database.read(lambda tx: store.find(tx, key_id)) is not None) is kept


async def test_its_owner_revokes_it_and_nobody_else(user: UserServicer, mina: pb.User, make: Any, acting: Any) -> None:
    made = await make()
    for caller, one in (("U-other", made.api_key.id), (mina.id, "0" * 16), (mina.id, "nul \0")):
        with acting(caller), pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
            await user.DeleteApiKey(pb.DeleteApiKeyRequest(id=one), CONTEXT)
    await user.AuthenticateApiKey(shown(made.key), CONTEXT)
    with acting(mina.id):
        await user.DeleteApiKey(pb.DeleteApiKeyRequest(id=made.api_key.id), CONTEXT)
    with pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
        await user.AuthenticateApiKey(shown(made.key), CONTEXT)


async def test_a_thief_of_an_access_token_makes_none(make: Any) -> None:
    with pytest.raises(DomainError, match="BAD_CREDENTIALS"):
        await make(password="a guess")
    with pytest.raises(Unauthenticated):
        await make(session=None)  # such as a caller with an API key, or a token of before


async def test_after_logging_out_nobody_makes_any(
    user: UserServicer, mina: pb.User, token: pb.Token, make: Any, acting: Any
) -> None:
    with acting(mina.id, token):
        await user.Logout(pb.LogoutRequest(refresh_token=token.refresh_token), CONTEXT)
    with pytest.raises(Unauthenticated):
        await make()


async def test_an_account_has_so_many(user: UserServicer, mina: pb.User, make: Any, acting: Any) -> None:
    made = [await make(str(number)) for number in range(MOST_API_KEYS)]
    with pytest.raises(DomainError, match="TOO_MANY_API_KEYS"):
        await make()
    with acting(mina.id):
        await user.DeleteApiKey(pb.DeleteApiKeyRequest(id=made[3].api_key.id), CONTEXT)
    await make()


async def test_they_end_with_the_account(
    user: UserServicer, mina: pb.User, token: pb.Token, make: Any, acting: Any
) -> None:
    made = await make()
    with acting(mina.id, token):
        await user.DeleteMe(pb.DeleteMeRequest(current_password=PASSWORD), CONTEXT)
    with pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
        await user.AuthenticateApiKey(shown(made.key), CONTEXT)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("name", {"name": ""}),
        ("name", {"name": " \u200b"}),
        ("scopes", {"scopes": []}),
        ("scopes[0]", {"scopes": ["order"]}),
        ("scopes[1]", {"scopes": ["order:read", "order:*"]}),
        ("scopes[0]", {"scopes": ["order:read product:read"]}),
        ("expires_in_days", {"expires_in_days": 0}),
        ("expires_in_days", {"expires_in_days": 366}),
    ],
)
async def test_what_a_request_may_hold(make: Any, field: str, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await make(**more)
    assert [one.field for one in refused.value.violations] == [field]


async def test_a_client_gets_a_token_with_scopes_of_its_key(
    user: UserServicer, mina: pb.User, make: Any, clock: FakeClock
) -> None:
    asked = shown((await make()).key)
    for scopes, has in (([], ["order:write", "product:read"]), (["product:read"], ["product:read"])):
        request = pb.CreateClientTokenRequest(id=asked.id, digest=asked.digest, scopes=scopes)
        given = await user.CreateClientToken(request, CONTEXT)
        payload = given.access_token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert (claims["sub"], claims["client_id"], claims["scope"].split()) == (mina.id, asked.id, has)
        assert claims["exp"] - clock.now() // MICROSECONDS == given.expires_in == 300
        assert claims.keys().isdisjoint({"sid", "roles"})
        assert list(given.scopes) == has
    with pytest.raises(DomainError, match="SCOPE_NOT_GRANTED"):
        request = pb.CreateClientTokenRequest(id=asked.id, digest=asked.digest, scopes=["order:admin"])
        await user.CreateClientToken(request, CONTEXT)
    with pytest.raises(DomainError, match="API_KEY_NOT_FOUND"):
        await user.CreateClientToken(pb.CreateClientTokenRequest(id=asked.id, digest=b"x" * 32), CONTEXT)
