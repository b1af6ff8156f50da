"""Guessing is throttled, and locks out who guesses: not the owner, and not the neighbours."""

from contextlib import suppress
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.throttle import Counted
from marketplace.user.servicer import UserServicer
from marketplace.user.store.sessions import MOST_ADDRESSES
from souk.kernel.errors import DomainError
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()
PASSWORD = "correct horse"
GOOD = pb.CreateTokenRequest(email="Mina@Example.com", password=PASSWORD)
HOME, ELSEWHERE, STRANGER = "192.0.2.1", "192.0.2.77", "203.0.113.9"
BAD, MANY = "BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"


async def reason(user: UserServicer, request: pb.CreateTokenRequest) -> str:
    try:
        await user.CreateToken(request, CONTEXT)
    except DomainError as error:
        return error.reason
    return "ok"


async def guess(user: UserServicer, acting: Any, times: int, *addresses: str, email: str = GOOD.email) -> list[str]:
    found = []
    for number in range(times):
        with acting(address=addresses[number % len(addresses)]):
            found.append(await reason(user, pb.CreateTokenRequest(email=email, password=f"guess {number}")))
    return found


async def log_in(user: UserServicer, acting: Any, address: str, email: str = GOOD.email) -> str:
    with acting(address=address):
        return await reason(user, pb.CreateTokenRequest(email=email, password=PASSWORD))


async def test_a_stranger_locks_out_himself_and_not_the_owner(user: UserServicer, mina: pb.User, acting: Any) -> None:
    assert await guess(user, acting, 12, STRANGER) == [BAD] * 10 + [MANY] * 2
    assert await log_in(user, acting, STRANGER) == MANY, "not even with the right one, or he could go on guessing"
    assert await log_in(user, acting, HOME) == "ok"
    assert await log_in(user, acting, ELSEWHERE) == "ok"


async def test_many_strangers_lock_an_account_but_not_where_its_owner_has_been(
    user: UserServicer, mina: pb.User, acting: Any, clock: FakeClock
) -> None:
    assert await log_in(user, acting, HOME) == "ok"
    many = [f"203.0.113.{number}" for number in range(20)]
    found = await guess(user, acting, 120, *many)
    assert found == [BAD] * 100 + [MANY] * 20
    assert await log_in(user, acting, ELSEWHERE) == MANY
    assert await log_in(user, acting, HOME) == "ok"
    clock.advance(301)
    assert await log_in(user, acting, ELSEWHERE) == "ok"


async def test_strangers_do_not_lock_out_the_admin(user: UserServicer, parts: ServiceParts, acting: Any) -> None:
    await parts.demo()
    admin = pb.CreateTokenRequest(email="admin@souk.test", password="admin-password")
    with acting(address=HOME):
        assert await reason(user, admin) == "ok"
    await guess(user, acting, 120, *(f"203.0.113.{n}" for n in range(20)), email=admin.email)
    with acting(address=HOME):
        assert await reason(user, admin) == "ok"


async def test_one_address_cannot_go_on_with_other_accounts(user: UserServicer, mina: pb.User, acting: Any) -> None:
    assert await log_in(user, acting, HOME) == "ok"
    other = pb.CreateUserRequest(email="other@example.com", password=PASSWORD, name="O")
    with acting(address=HOME):
        await user.CreateUser(other, CONTEXT)
    for number in range(40):
        assert await guess(user, acting, 5, HOME, email=f"nobody-{number}@example.com") == [BAD] * 5
    assert await guess(user, acting, 1, HOME, email="one-more@example.com") == [MANY]
    assert await log_in(user, acting, HOME, other.email) == MANY
    assert await log_in(user, acting, ELSEWHERE, other.email) == "ok"
    assert await log_in(user, acting, HOME) == "ok", "who logged in here before is not the one who guesses"


async def test_a_new_email_does_not_begin_anew(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(address=ELSEWHERE):
        token = await user.CreateToken(GOOD, CONTEXT)
    assert await guess(user, acting, 10, STRANGER) == [BAD] * 10
    with acting(mina.id, token, ELSEWHERE):
        await user.UpdateMe(pb.UpdateMeRequest(email="new@example.com", current_password=PASSWORD), CONTEXT)
    assert await guess(user, acting, 1, STRANGER, email="new@example.com") == [MANY]
    with acting(mina.id, token, STRANGER), pytest.raises(DomainError, match=MANY):
        change = pb.ChangePasswordRequest(current_password="guess", new_password="long enough")
        await user.ChangePassword(change, CONTEXT)


async def test_addresses_of_one_site_are_one(user: UserServicer, mina: pb.User, acting: Any) -> None:
    site = [f"2001:db8:1:2::{number:x}" for number in range(1, 13)]
    assert await guess(user, acting, 12, *site) == [BAD] * 10 + [MANY] * 2
    assert await guess(user, acting, 1, "2001:db8:1:3::1") == [BAD]


async def test_who_is_registered_is_told_30_times_to_an_address(
    user: UserServicer, mina: pb.User, acting: Any, passwords: Any, clock: FakeClock
) -> None:
    async def register(email: str, address: str = STRANGER) -> str:
        request = pb.CreateUserRequest(email=email, password="long enough", name="Eve")
        with acting(address=address):
            try:
                await user.CreateUser(request, CONTEXT)
            except DomainError as error:
                return error.reason
        return "ok"

    assert [await register(mina.email) for _ in range(31)] == ["EMAIL_TAKEN"] * 30 + [MANY]
    assert await register("free@example.com") == MANY, "or the answer would tell"
    assert await register("free@example.com", HOME) == "ok"
    clock.advance(301)
    assert await register("other@example.com") == "ok"


async def test_a_taken_email_costs_as_much_as_a_free_one(
    user: UserServicer, mina: pb.User, passwords: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, plain = [], passwords.hash

    async def hash_(password: str) -> str:
        hashed.append(password)
        return str(await plain(password))

    monkeypatch.setattr(passwords, "hash", hash_)
    for email in (mina.email, "free@example.com"):
        with suppress(DomainError):
            await user.CreateUser(pb.CreateUserRequest(email=email, password="long enough", name="E"), CONTEXT)
    assert len(hashed) == 2


async def test_asking_for_emails_by_changing_ones_own_is_counted_too(
    user: UserServicer, mina: pb.User, acting: Any
) -> None:
    eve = await user.CreateUser(pb.CreateUserRequest(email="eve@x.de", password=PASSWORD, name="Eve"), CONTEXT)
    with acting(address=STRANGER):
        token = await user.CreateToken(pb.CreateTokenRequest(email="eve@x.de", password=PASSWORD), CONTEXT)
    found = []
    with acting(eve.id, token, STRANGER):
        for _ in range(31):
            with pytest.raises(DomainError) as caught:
                await user.UpdateMe(pb.UpdateMeRequest(email=mina.email, current_password=PASSWORD), CONTEXT)
            found.append(caught.value.reason)
    assert found == ["EMAIL_TAKEN"] * 30 + [MANY]


async def test_nothing_that_is_counted_stays(
    user: UserServicer, mina: pb.User, acting: Any, host: ServiceContext, parts: ServiceParts, clock: FakeClock
) -> None:
    async def rows(table: str) -> list[Any]:
        return await host.database.read(lambda tx: tx.fetch(f"SELECT * FROM {table}"))

    await guess(user, acting, 3, STRANGER)
    for number in range(MOST_ADDRESSES + 5):
        clock.advance(1)
        await log_in(user, acting, f"198.51.100.{number}")
    assert len(await rows("known_addresses")) == MOST_ADDRESSES
    written = str([tuple(row) for table in ("login_failures", "known_addresses") for row in await rows(table)])
    assert "198.51" not in written
    assert "203.0" not in written
    deps = user._servicer._deps  # type: ignore[attr-defined]
    clock.advance(301)
    await deps.database.run(deps.attempts.forget_old)
    assert await rows("login_failures") == []
    clock.advance(91 * 24 * 3_600)
    await deps.database.run(deps.sessions.forget_expired)
    assert await rows("known_addresses") == []


def test_another_secret_gives_other_digests() -> None:
    one, other = Counted(b"a" * 32), Counted(b"b" * 32)
    assert one.address(HOME) != other.address(HOME)
    assert one.password("U-1", "", HOME).account != one.password("", "u-1", HOME).account
