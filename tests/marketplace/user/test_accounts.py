"""Registration, the account, and what is left when it is erased."""

import asyncio
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError, InvalidArgument
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()


def registration(**fields: Any) -> pb.CreateUserRequest:
    return pb.CreateUserRequest(**{"email": "a@example.com", "password": "long enough", "name": "Ann", **fields})


async def test_who_registers_is_a_customer(user: UserServicer, mina: pb.User, acting: Any) -> None:
    assert (mina.email, mina.name, list(mina.roles)) == ("Mina@Example.com", "Mina", ["customer"])
    with acting(mina.id):
        assert await user.GetMe(pb.GetMeRequest(), CONTEXT) == mina


async def test_an_email_is_taken_whatever_its_case(user: UserServicer, mina: pb.User) -> None:
    with pytest.raises(DomainError, match="EMAIL_TAKEN"):
        await user.CreateUser(registration(email="mINA@eXAMPLE.com"), CONTEXT)


async def test_of_two_that_race_for_an_email_one_gets_it(user: UserServicer) -> None:
    racers = (user.CreateUser(registration(email=email), CONTEXT) for email in ("x@example.com", "X@example.com"))
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DomainError", "User"]
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, DomainError)] == ["EMAIL_TAKEN"]


@pytest.mark.parametrize(
    "email", ["a@b.test", "first.last+tag@sub.example", "me@localhost", "x@shop.invalid", "o'hara@x.de"]
)
async def test_sane_and_reserved_addresses_are_accepted(user: UserServicer, email: str) -> None:
    assert (await user.CreateUser(registration(email=email), CONTEXT)).email == email


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("email", email)
            for email in ("", "a", "@b.c", "a@", "a b@c.d", "a@b@c", ".a@b.c", "a..b@c.d", "a@-b.c", "a@b..c")
        ),
        ("email", "a@b.c\n"),
        ("email", "a@" + "b" * 250 + ".com"),
        ("email", "x" * 65 + "@example.com"),
        ("password", "x" * 9),
        ("password", "x" * 257),
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 101),
        ("name", "Ann\r\nBcc: all@example.com"),
    ],
)
async def test_nonsense_is_refused_with_the_field(user: UserServicer, field: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await user.CreateUser(registration(**{field: value}), CONTEXT)
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize("length", [10, 256])
async def test_passwords_of_10_to_256_characters(user: UserServicer, length: int) -> None:
    await user.CreateUser(registration(password="ü" * length), CONTEXT)


async def test_an_account_can_be_changed(user: UserServicer, mina: pb.User, acting: Any) -> None:
    token = await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password="correct horse"), CONTEXT)
    with acting(mina.id, token):
        assert (await user.UpdateMe(pb.UpdateMeRequest(name=" Mina M. "), CONTEXT)).name == "Mina M."
        new = pb.UpdateMeRequest(email="mina@EXAMPLE.com", current_password="correct horse")
        changed = await user.UpdateMe(new, CONTEXT)
        assert (changed.email, changed.name) == ("mina@EXAMPLE.com", "Mina M.")
        assert await user.GetMe(pb.GetMeRequest(), CONTEXT) == changed
        assert await user.UpdateMe(pb.UpdateMeRequest(), CONTEXT) == changed
        for nonsense in (pb.UpdateMeRequest(name=""), pb.UpdateMeRequest(email=""), pb.UpdateMeRequest(email="x")):
            with pytest.raises(InvalidArgument):
                await user.UpdateMe(nonsense, CONTEXT)


async def test_an_email_of_another_cannot_be_taken_over(user: UserServicer, mina: pb.User, acting: Any) -> None:
    await user.CreateUser(registration(), CONTEXT)
    token = await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password="correct horse"), CONTEXT)
    with acting(mina.id, token), pytest.raises(DomainError, match="EMAIL_TAKEN"):
        await user.UpdateMe(pb.UpdateMeRequest(email="A@example.com", current_password="correct horse"), CONTEXT)


async def test_erasing_leaves_nothing_personal_and_is_told_once(
    user: UserServicer, mina: pb.User, acting: Any, host: ServiceContext
) -> None:
    login = pb.CreateTokenRequest(email=mina.email, password="correct horse")
    with acting(mina.id, await user.CreateToken(login, CONTEXT)):
        await user.CreateAddress(
            pb.CreateAddressRequest(name="M", line1="L", city="C", postal_code="1", country="DE"), CONTEXT
        )
        with pytest.raises(DomainError):
            await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password="wrong"), CONTEXT)
        await user.DeleteMe(pb.DeleteMeRequest(current_password="correct horse"), CONTEXT)
        await user.DeleteMe(pb.DeleteMeRequest(current_password="correct horse"), CONTEXT)
        with pytest.raises(DomainError, match="USER_NOT_FOUND"):
            await user.GetMe(pb.GetMeRequest(), CONTEXT)
        with pytest.raises(DomainError, match="USER_NOT_FOUND"):
            await user.CreateAddress(
                pb.CreateAddressRequest(name="M", line1="L", city="C", postal_code="1", country="DE"), CONTEXT
            )
    for table in ("users", "addresses", "refresh_families", "login_failures", "known_addresses"):
        assert not await host.database.read(lambda tx, table=table: tx.fetch(f"SELECT * FROM {table}")), table
    told = await host.database.read(lambda tx: tx.fetch("SELECT type, payload FROM souk_outbox"))
    assert [row["type"] for row in told] == ["shop.user.v1.UserDeleted"]
    assert pb.UserDeleted.FromString(told[0]["payload"]).user_id == mina.id
    with pytest.raises(DomainError, match="BAD_CREDENTIALS"):
        await user.CreateToken(login, CONTEXT)
    await user.CreateUser(registration(email=mina.email), CONTEXT)


async def test_services_learn_roles_and_contact(user: UserServicer, mina: pb.User) -> None:
    assert list((await user.GetRoles(pb.GetRolesRequest(user_id=mina.id), CONTEXT)).roles) == ["customer"]
    contact = await user.GetContact(pb.GetContactRequest(user_id=mina.id), CONTEXT)
    assert (contact.email, contact.name) == ("Mina@Example.com", "Mina")
    for unknown in ("U-none", "", "nul \0"):
        with pytest.raises(DomainError, match="USER_NOT_FOUND"):
            await user.GetRoles(pb.GetRolesRequest(user_id=unknown), CONTEXT)
        with pytest.raises(DomainError, match="USER_NOT_FOUND"):
            await user.GetContact(pb.GetContactRequest(user_id=unknown), CONTEXT)


async def test_the_demo_can_be_loaded_again(user: UserServicer, parts: ServiceParts, acting: Any) -> None:
    await parts.demo()
    with acting("U-demo"):
        await user.UpdateMe(pb.UpdateMeRequest(name="Somebody"), CONTEXT)
        await parts.demo()
        assert (await user.GetMe(pb.GetMeRequest(), CONTEXT)).name == "Somebody"
        assert (await user.GetAddress(pb.GetAddressRequest(id="ADDR-55"), CONTEXT)).country == "DE"
    assert list((await user.GetRoles(pb.GetRolesRequest(user_id="U-admin"), CONTEXT)).roles) == ["admin", "customer"]
    for email, password in (("demo@souk.test", "demo-password"), ("admin@souk.test", "admin-password")):
        await user.CreateToken(pb.CreateTokenRequest(email=email, password=password), CONTEXT)


async def test_an_account_with_open_orders_or_money_is_not_erased(
    user: UserServicer, mina: pb.User, acting: Any, obligations: Any
) -> None:
    token = await user.CreateToken(pb.CreateTokenRequest(email=mina.email, password="correct horse"), CONTEXT)
    plain = pb.DeleteMeRequest(current_password="correct horse")
    forfeits = pb.DeleteMeRequest(current_password="correct horse", forfeit_balance=True)
    with acting(mina.id, token):
        obligations.orders, obligations.money = True, 5
        for request in (plain, forfeits):
            with pytest.raises(DomainError, match="ORDERS_OPEN"):
                await user.DeleteMe(request, CONTEXT)
        obligations.orders = False
        with pytest.raises(DomainError, match="BALANCE_LEFT"):
            await user.DeleteMe(plain, CONTEXT)
        assert await user.GetMe(pb.GetMeRequest(), CONTEXT) == mina
        await user.DeleteMe(forfeits, CONTEXT)
        with pytest.raises(DomainError, match="USER_NOT_FOUND"):
            await user.GetMe(pb.GetMeRequest(), CONTEXT)
