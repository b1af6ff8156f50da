"""Addresses: one's own alone."""

from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError, InvalidArgument
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()


def home(**fields: str) -> pb.CreateAddressRequest:
    usual = {"name": "Mina", "line1": "Lindenallee 12", "city": "Hamburg", "postal_code": "20095", "country": "DE"}
    return pb.CreateAddressRequest(**{**usual, **fields})


async def test_an_address_is_kept_as_it_was_given(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        created = await user.CreateAddress(home(line2="2nd floor", region="", phone="+49 40 5550123"), CONTEXT)
        assert (created.line2, created.phone, created.HasField("region")) == ("2nd floor", "+49 40 5550123", False)
        assert await user.GetAddress(pb.GetAddressRequest(id=created.id), CONTEXT) == created


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("line1", " "),
        ("line2", "x" * 201),
        ("city", "a\nb"),
        ("region", "x" * 101),
        ("postal_code", ""),
        ("postal_code", "x" * 21),
        ("country", ""),
        ("country", "de"),
        ("country", "XX"),
        ("country", "DEU"),
        ("phone", "call me"),
    ],
)
async def test_nonsense_is_refused_with_the_field(
    user: UserServicer, mina: pb.User, acting: Any, field: str, value: str
) -> None:
    with acting(mina.id), pytest.raises(InvalidArgument) as caught:
        await user.CreateAddress(home(**{field: value}), CONTEXT)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_country_without_postal_codes_needs_none(user: UserServicer, mina: pb.User, acting: Any) -> None:
    without = home(country="HK", city="Kowloon")
    without.ClearField("postal_code")
    with acting(mina.id):
        for request in (without, home(country="HK", postal_code=""), home(country="AE", postal_code="00000")):
            created = await user.CreateAddress(request, CONTEXT)
            assert created.postal_code == request.postal_code
        for move in (pb.UpdateAddressRequest(country="DE", postal_code=""), pb.UpdateAddressRequest(country="XX")):
            move.id = created.id
            with pytest.raises(InvalidArgument):
                await user.UpdateAddress(move, CONTEXT)
        moved = pb.UpdateAddressRequest(id=created.id, country="JM", postal_code="")
        assert (await user.UpdateAddress(moved, CONTEXT)).postal_code == ""


async def test_elsewhere_a_missing_postal_code_is_named(user: UserServicer, mina: pb.User, acting: Any) -> None:
    request = home()
    request.ClearField("postal_code")
    with acting(mina.id), pytest.raises(InvalidArgument, match="postal_code: is required: addresses in DE have one"):
        await user.CreateAddress(request, CONTEXT)


async def test_a_change_touches_only_what_is_given(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        created = await user.CreateAddress(home(line2="2nd floor"), CONTEXT)
        changed = await user.UpdateAddress(pb.UpdateAddressRequest(id=created.id, city="Berlin", line2=""), CONTEXT)
        assert (changed.city, changed.line1, changed.HasField("line2")) == ("Berlin", "Lindenallee 12", False)
        with pytest.raises(InvalidArgument):
            await user.UpdateAddress(pb.UpdateAddressRequest(id=created.id, country="ZZ"), CONTEXT)
        assert await user.GetAddress(pb.GetAddressRequest(id=created.id), CONTEXT) == changed


async def test_anothers_address_does_not_exist(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        created = await user.CreateAddress(home(), CONTEXT)
    for caller, address_id in (("U-other", created.id), ("", created.id), (mina.id, "ADDR-none"), (mina.id, "nul \0")):
        with acting(caller):
            for call in (
                user.GetAddress(pb.GetAddressRequest(id=address_id), CONTEXT),
                user.UpdateAddress(pb.UpdateAddressRequest(id=address_id, city="X"), CONTEXT),
                user.DeleteAddress(pb.DeleteAddressRequest(id=address_id), CONTEXT),
            ):
                with pytest.raises(DomainError, match="ADDRESS_NOT_FOUND"):
                    await call
    with acting(mina.id):
        assert await user.GetAddress(pb.GetAddressRequest(id=created.id), CONTEXT) == created


async def test_a_forgotten_address_is_gone(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        created = await user.CreateAddress(home(), CONTEXT)
        await user.DeleteAddress(pb.DeleteAddressRequest(id=created.id), CONTEXT)
        with pytest.raises(DomainError, match="ADDRESS_NOT_FOUND"):
            await user.GetAddress(pb.GetAddressRequest(id=created.id), CONTEXT)


async def test_pages_meet_every_own_address_once(
    user: UserServicer, mina: pb.User, acting: Any, clock: FakeClock
) -> None:
    with acting(mina.id):
        created = []
        for number in range(7):
            created.append((await user.CreateAddress(home(name=f"N{number}"), CONTEXT)).id)
            clock.advance(number % 2)
        request, found = pb.ListAddressesRequest(page_size=3), []
        while True:
            page = await user.ListAddresses(request, CONTEXT)
            found += [address.id for address in page.addresses]
            if not page.HasField("next_page_token"):
                break
            request.page_token = page.next_page_token
        assert sorted(found) == sorted(created)
        assert len(found) == 7
    other = await user.CreateUser(
        pb.CreateUserRequest(email="o@example.com", password="long enough", name="O"), CONTEXT
    )
    with acting(other.id):
        assert not (await user.ListAddresses(pb.ListAddressesRequest(), CONTEXT)).addresses
        with pytest.raises(InvalidArgument):
            await user.ListAddresses(request, CONTEXT)


async def test_an_account_has_at_most_fifty_addresses(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        saved = [await user.CreateAddress(home(), CONTEXT) for _ in range(50)]
        with pytest.raises(DomainError, match="TOO_MANY_ADDRESSES"):
            await user.CreateAddress(home(), CONTEXT)
        await user.UpdateAddress(pb.UpdateAddressRequest(id=saved[0].id, city="Bremen"), CONTEXT)
        await user.DeleteAddress(pb.DeleteAddressRequest(id=saved[0].id), CONTEXT)
        await user.CreateAddress(home(), CONTEXT)
