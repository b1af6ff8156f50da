"""Logging in: tokens, the throttle, and nothing to learn from a refusal."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from argon2.exceptions import VerificationError
from joserfc import jwt
from joserfc.jwk import KeySet
from shop.user.v1 import user_pb2 as pb

from marketplace.user.adapters.argon2_passwords import AT_ONCE, LONGEST_QUEUE, Argon2Passwords
from marketplace.user.service import build, service
from marketplace.user.servicer import UserServicer
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import DomainError, InvalidArgument, Overloaded
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host

CONTEXT: Any = CallRecord()
GOOD = pb.CreateTokenRequest(email="mina@example.COM", password="correct horse")
WRONG = pb.CreateTokenRequest(email="mina@example.com", password="battery staple")
UNKNOWN = pb.CreateTokenRequest(email="nobody@example.com", password="battery staple")


async def reasons(user: UserServicer, request: pb.CreateTokenRequest, times: int) -> list[str]:
    found = []
    for _ in range(times):
        try:
            await user.CreateToken(request, CONTEXT)
            found.append("ok")
        except DomainError as error:
            found.append(error.reason)
    return found


async def published_keys(user: UserServicer) -> KeySet:
    keys = (await user.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT)).keys
    names = [field.name for field in pb.SigningKey.DESCRIPTOR.fields]
    return KeySet.import_key_set({"keys": [{name: getattr(key, name) for name in names} for key in keys]})


async def test_a_token_says_who_and_is_verified_by_the_published_keys(
    user: UserServicer, mina: pb.User, clock: FakeClock
) -> None:
    token = await user.CreateToken(GOOD, CONTEXT)
    assert (token.token_type, token.expires_in) == ("Bearer", 900)
    decoded = jwt.decode(token.access_token, await published_keys(user), algorithms=["ES256"])
    now = clock.now() // MICROSECONDS
    assert len(str(decoded.claims.pop("jti"))) >= 16
    assert str(decoded.claims.pop("sid")).startswith("RTF-")
    assert decoded.claims == {
        "iss": "souk",
        "aud": "souk",
        "sub": mina.id,
        "roles": ["customer"],
        "iat": now,
        "exp": now + 900,
    }
    assert decoded.header["alg"] == "ES256"


async def test_keys_show_no_private_half(user: UserServicer) -> None:
    (key,) = (await user.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT)).keys
    assert (key.kty, key.crv, key.use, key.alg) == ("EC", "P-256", "sig", "ES256")
    assert "d" not in {field.name for field in key.DESCRIPTOR.fields}


async def test_unknown_user_and_wrong_password_are_one_answer_and_one_work(
    user: UserServicer, mina: pb.User, passwords: Any
) -> None:
    answers = []
    for request in (WRONG, UNKNOWN):
        with pytest.raises(DomainError) as caught:
            await user.CreateToken(request, CONTEXT)
        answers.append(str(caught.value))
    assert answers[0] == answers[1]
    assert answers[0].startswith("BAD_CREDENTIALS")
    assert len(passwords.verified) == 2
    assert passwords.verified[1] is None


async def test_no_hash_takes_a_real_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Argon2Passwords(memory_kib=8, passes=1)
    seen: list[str] = []
    fits = passwords._fits
    monkeypatch.setattr(passwords, "_fits", lambda hashed, typed: seen.append(hashed) or fits(hashed, typed))
    assert not await passwords.verify(None, "battery staple")
    assert seen[0].startswith("$argon2id$")


async def test_argon2id_with_19_mib_two_passes_one_lane() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hash("pässwörd long")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "pa\u0308sswo\u0308rd long")
    assert not await passwords.verify(hashed, "password long")
    assert not await passwords.verify("not a hash", "password long")


async def test_at_most_two_passwords_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, running, most = Argon2Passwords(memory_kib=8, passes=1), 0, 0
    lock, both = threading.Lock(), threading.Barrier(2)

    def fits(password_hash: str, password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(5)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(passwords, "_fits", fits)
    await asyncio.gather(*(passwords.verify("hash", "password") for _ in range(8)))
    assert most == 2


async def test_a_queue_that_is_long_enough_turns_away(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, go = Argon2Passwords(memory_kib=8, passes=1), threading.Event()
    monkeypatch.setattr(passwords, "_fits", lambda hashed, typed: go.wait(5))
    waiting = [asyncio.create_task(passwords.verify("hash", "password")) for _ in range(AT_ONCE + LONGEST_QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(DomainError, match="too many logins at once"):
        await passwords.verify("hash", "password")
    go.set()
    assert all(await asyncio.gather(*waiting))
    assert await passwords.verify("hash", "password")


@pytest.mark.parametrize(
    "error", [VerificationError("Memory allocation error"), RuntimeError("can't start new thread")]
)
async def test_a_password_that_cannot_be_hashed_is_not_a_wrong_one(
    host: ServiceContext, mina: pb.User, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(password_hash: str, password: str) -> bool:
        raise error

    passwords = Argon2Passwords(memory_kib=8, passes=1)
    monkeypatch.setattr(passwords, "_fits", fails)
    servicer = (await build(host, passwords)).servicer
    assert isinstance(servicer, UserServicer)
    with pytest.raises(Overloaded):
        await servicer.CreateToken(WRONG, CONTEXT)
    rows = await host.database.read(lambda tx: tx.fetch("SELECT * FROM login_failures"))
    assert rows == []


@pytest.mark.parametrize("request_", [WRONG, UNKNOWN])
async def test_ten_failures_then_429_known_or_not(
    user: UserServicer, mina: pb.User, clock: FakeClock, passwords: Any, request_: pb.CreateTokenRequest
) -> None:
    assert await reasons(user, request_, 12) == ["BAD_CREDENTIALS"] * 10 + ["TOO_MANY_ATTEMPTS"] * 2
    assert len(passwords.verified) == 10
    with pytest.raises(DomainError) as caught:
        await user.CreateToken(request_, CONTEXT)
    assert caught.value.retry_after == 300
    clock.advance(299)
    assert await reasons(user, request_, 1) == ["TOO_MANY_ATTEMPTS"]
    clock.advance(1)
    assert await reasons(user, request_, 1) == ["BAD_CREDENTIALS"]


async def test_the_right_password_waits_too_but_other_accounts_do_not(user: UserServicer, mina: pb.User) -> None:
    other = pb.CreateUserRequest(email="other@example.com", password="correct horse", name="O")
    await user.CreateUser(other, CONTEXT)
    await reasons(user, WRONG, 10)
    assert await reasons(user, GOOD, 1) == ["TOO_MANY_ATTEMPTS"]
    good = pb.CreateTokenRequest(email="other@example.com", password="correct horse")
    assert await reasons(user, good, 1) == ["ok"]


async def test_successes_do_not_count(user: UserServicer, mina: pb.User) -> None:
    assert await reasons(user, GOOD, 15) == ["ok"] * 15
    await reasons(user, WRONG, 9)
    assert await reasons(user, GOOD, 5) == ["ok"] * 5
    assert await reasons(user, WRONG, 2) == ["BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"]


async def test_the_window_slides(user: UserServicer, mina: pb.User, clock: FakeClock) -> None:
    for _ in range(10):
        await reasons(user, WRONG, 1)
        clock.advance(20)
    with pytest.raises(DomainError) as caught:
        await user.CreateToken(WRONG, CONTEXT)
    assert caught.value.retry_after == 100
    clock.advance(100)
    assert await reasons(user, WRONG, 2) == ["BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"]


async def test_failures_at_once_are_all_counted(user: UserServicer, mina: pb.User) -> None:
    found = await asyncio.gather(*(reasons(user, WRONG, 1) for _ in range(30)))
    assert sorted(reason for (reason,) in found) == ["BAD_CREDENTIALS"] * 10 + ["TOO_MANY_ATTEMPTS"] * 20


async def test_the_throttle_and_the_keys_survive_a_restart(tmp_path: Path, clock: FakeClock, passwords: Any) -> None:
    keys = []
    for expected in ("BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"):
        async with service_host(service, tmp_path, clock=clock) as host:
            user: Any = (await build(host, passwords)).servicer
            assert set(await reasons(user, UNKNOWN, 10)) == {expected}
            keys.append(await user.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT))
    assert keys[0] == keys[1]


async def test_no_email_is_written_down_with_a_failure(user: UserServicer, host: ServiceContext) -> None:
    await reasons(user, UNKNOWN, 1)
    (row,) = await host.database.read(lambda tx: tx.fetch("SELECT account FROM login_failures"))
    assert "nobody" not in row["account"]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CreateTokenRequest(), ["email", "password"]),
        (pb.CreateTokenRequest(email="a@b.c"), ["password"]),
        (pb.CreateTokenRequest(email="a@b.c", refresh_token="x"), ["email"]),
        (pb.CreateTokenRequest(email="a@b.c", password="x" * 257), ["password"]),
        (pb.CreateTokenRequest(email="nul \0", password="x"), ["email"]),
    ],
)
async def test_one_proof_is_needed(user: UserServicer, request_: pb.CreateTokenRequest, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await user.CreateToken(request_, CONTEXT)
    assert [violation.field for violation in caught.value.violations] == fields


async def test_changing_the_password_takes_the_current_one_and_ends_every_session(
    user: UserServicer, mina: pb.User, acting: Any
) -> None:
    token = await user.CreateToken(GOOD, CONTEXT)
    with acting(mina.id, token):
        change = pb.ChangePasswordRequest(current_password="correct horse", new_password="a new password")
        short = pb.ChangePasswordRequest(current_password="correct horse", new_password="short")
        with pytest.raises(InvalidArgument, match="new_password"):
            await user.ChangePassword(short, CONTEXT)
        await user.ChangePassword(change, CONTEXT)
        with pytest.raises(DomainError, match="BAD_CREDENTIALS"):
            await user.ChangePassword(change, CONTEXT)
    assert await reasons(user, pb.CreateTokenRequest(refresh_token=token.refresh_token), 1) == ["BAD_CREDENTIALS"]
    assert await reasons(user, GOOD, 1) == ["BAD_CREDENTIALS"]
    assert await reasons(user, pb.CreateTokenRequest(email=mina.email, password="a new password"), 1) == ["ok"]


async def test_guessing_the_current_password_is_throttled_like_logging_in(
    user: UserServicer, mina: pb.User, acting: Any
) -> None:
    with acting():
        await reasons(user, WRONG, 5)
    change = pb.ChangePasswordRequest(current_password="wrong", new_password="a new password")
    with acting(mina.id):
        for expected in ["BAD_CREDENTIALS"] * 5 + ["TOO_MANY_ATTEMPTS"]:
            with pytest.raises(DomainError, match=expected):
                await user.ChangePassword(change, CONTEXT)
    with acting("U-none"), pytest.raises(DomainError, match="USER_NOT_FOUND"):
        await user.ChangePassword(change, CONTEXT)


async def test_a_login_that_races_with_a_change_of_password_gets_no_session(
    user: UserServicer, mina: pb.User, acting: Any, passwords: Any
) -> None:
    verify, change = (
        passwords.verify,
        pb.ChangePasswordRequest(current_password="correct horse", new_password="another one"),
    )

    token = await user.CreateToken(GOOD, CONTEXT)

    async def slow(password_hash: str | None, password: str) -> bool:
        fits: bool = await verify(password_hash, password)
        passwords.verify = verify
        with acting(mina.id, token):
            await user.ChangePassword(change, CONTEXT)
        return fits

    passwords.verify = slow
    assert await reasons(user, GOOD, 1) == ["BAD_CREDENTIALS"]
