"""What only the owner of an account may do, and nobody with a token that was stolen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError, InvalidArgument
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()
PASSWORD, NEXT = "correct horse", "another password"
GOOD = pb.CreateTokenRequest(email="Mina@Example.com", password=PASSWORD)

Sensitive = Callable[[UserServicer, str], Awaitable[Any]]
SENSITIVE: dict[str, Sensitive] = {
    "email": lambda user, typed: user.UpdateMe(
        pb.UpdateMeRequest(email="thief@example.com", current_password=typed), CONTEXT
    ),
    "password": lambda user, typed: user.ChangePassword(
        pb.ChangePasswordRequest(current_password=typed, new_password="the thief's own"), CONTEXT
    ),
    "account": lambda user, typed: user.DeleteMe(pb.DeleteMeRequest(current_password=typed), CONTEXT),
}


@pytest.fixture(params=SENSITIVE)
def sensitive(request: pytest.FixtureRequest) -> Sensitive:
    return SENSITIVE[request.param]


async def reason(call: Awaitable[Any]) -> str:
    try:
        await call
    except DomainError as error:
        return error.reason
    return "done"


async def change_password(user: UserServicer, old: str = PASSWORD, new: str = NEXT) -> None:
    await user.ChangePassword(pb.ChangePasswordRequest(current_password=old, new_password=new), CONTEXT)


async def test_the_current_password_is_needed(
    user: UserServicer, mina: pb.User, acting: Any, sensitive: Sensitive
) -> None:
    token = await user.CreateToken(GOOD, CONTEXT)
    with acting(mina.id, token):
        assert await reason(sensitive(user, "guessed")) == "BAD_CREDENTIALS"
        assert await reason(sensitive(user, "")) == "BAD_CREDENTIALS"
        assert await user.GetMe(pb.GetMeRequest(), CONTEXT) == mina
        assert await reason(sensitive(user, PASSWORD)) == "done"


async def test_an_email_alone_is_refused_with_the_field(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id, await user.CreateToken(GOOD, CONTEXT)):
        with pytest.raises(InvalidArgument, match="current_password"):
            await user.UpdateMe(pb.UpdateMeRequest(email="thief@example.com"), CONTEXT)
        await user.UpdateMe(pb.UpdateMeRequest(name="A name needs none"), CONTEXT)


async def test_a_token_from_before_the_password_changed_is_refused(
    user: UserServicer, mina: pb.User, acting: Any, sensitive: Sensitive
) -> None:
    stolen, own = await user.CreateToken(GOOD, CONTEXT), await user.CreateToken(GOOD, CONTEXT)
    # In one second of the clock, which stands still: no time in the tokens tells them apart.
    with acting(mina.id, own):
        await change_password(user)
    fresh = await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password=NEXT), CONTEXT)
    for old in (stolen, own, None):
        with acting(mina.id, old):
            assert await reason(sensitive(user, NEXT)) == "UNAUTHENTICATED", "though the new password is known, too"
    with acting(mina.id, fresh):
        assert await reason(sensitive(user, NEXT)) == "done"


async def test_a_token_of_another_account_proves_nothing(
    user: UserServicer, mina: pb.User, acting: Any, sensitive: Sensitive
) -> None:
    await user.CreateUser(pb.CreateUserRequest(email="eve@x.de", password=PASSWORD, name="Eve"), CONTEXT)
    eves = await user.CreateToken(pb.CreateTokenRequest(email="eve@x.de", password=PASSWORD), CONTEXT)
    with acting(mina.id, eves):
        assert await reason(sensitive(user, PASSWORD)) == "UNAUTHENTICATED"


async def test_logging_out_and_a_new_email_end_tokens_too(
    user: UserServicer, mina: pb.User, acting: Any, sensitive: Sensitive
) -> None:
    stolen, own = await user.CreateToken(GOOD, CONTEXT), await user.CreateToken(GOOD, CONTEXT)
    with acting(mina.id, own):
        await user.UpdateMe(pb.UpdateMeRequest(email="new@example.com", current_password=PASSWORD), CONTEXT)
    with acting(mina.id, stolen):
        assert await reason(sensitive(user, PASSWORD)) == "UNAUTHENTICATED"
    assert await reason(user.CreateToken(pb.CreateTokenRequest(refresh_token=stolen.refresh_token), CONTEXT)) != "done"
    refreshed = await user.CreateToken(pb.CreateTokenRequest(refresh_token=own.refresh_token), CONTEXT)
    with acting(mina.id, refreshed):
        await user.Logout(pb.LogoutRequest(refresh_token=refreshed.refresh_token), CONTEXT)
        assert await reason(sensitive(user, PASSWORD)) == "UNAUTHENTICATED"


async def test_a_token_that_was_refreshed_is_of_the_same_login(
    user: UserServicer, mina: pb.User, acting: Any, sensitive: Sensitive
) -> None:
    token = await user.CreateToken(GOOD, CONTEXT)
    refreshed = await user.CreateToken(pb.CreateTokenRequest(refresh_token=token.refresh_token), CONTEXT)
    with acting(mina.id, refreshed):
        assert await reason(sensitive(user, PASSWORD)) == "done"


async def test_whatever_checked_the_old_password_while_it_changed_does_nothing(
    user: UserServicer, mina: pb.User, acting: Any, passwords: Any, sensitive: Sensitive
) -> None:
    """The password changes between the thief's check and the thief's transaction."""
    stolen, own = await user.CreateToken(GOOD, CONTEXT), await user.CreateToken(GOOD, CONTEXT)
    verify = passwords.verify

    async def slow(password_hash: str | None, password: str) -> bool:
        fits: bool = await verify(password_hash, password)
        passwords.verify = verify
        await asyncio.create_task(_as(acting, mina.id, own, lambda: change_password(user)))
        return fits

    passwords.verify = slow
    with acting(mina.id, stolen):
        assert await reason(sensitive(user, PASSWORD)) == "BAD_CREDENTIALS"
        assert await user.GetMe(pb.GetMeRequest(), CONTEXT) == mina


async def _as(acting: Any, user_id: str, token: pb.Token, call: Callable[[], Awaitable[None]]) -> None:
    with acting(user_id, token):
        await call()
