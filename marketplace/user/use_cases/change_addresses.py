"""A user's own addresses. Another's are answered as if they did not exist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketplace.user.address import Address, Place, changed, checked, unknown_address

from marketplace.user.domain import is_id, unknown_user
from marketplace.user.ports import Addresses, Mark
from souk.kernel.clock import Clock
from souk.kernel.ids import new_id
from souk.kernel.paging import PageAsked


@dataclass(frozen=True, slots=True)
class CreateAddress:
    """Whose address, and what it is."""

    user_id: str
    place: Place


@dataclass(frozen=True, slots=True)
class UpdateAddress:
    """Whose address, which, and the fields to change."""

    user_id: str
    address_id: str
    given: Mapping[str, str]


async def create_address(command: CreateAddress, addresses: Addresses, clock: Clock) -> Address:
    """The saved address; raises InvalidArgument, USER_NOT_FOUND and TOO_MANY_ADDRESSES."""
    new = Address(new_id("ADDR", clock), command.user_id, checked(command.place), clock.now())
    if not await addresses.add(new):
        raise unknown_user()
    return new


async def get_address(user_id: str, address_id: str, addresses: Addresses) -> Address:
    """One of the user's addresses; raises ADDRESS_NOT_FOUND."""
    found = await addresses.find(user_id, address_id) if is_id(address_id) else None
    if found is None:
        raise unknown_address()
    return found


async def update_address(command: UpdateAddress, addresses: Addresses) -> Address:
    """The address as it is now; raises InvalidArgument and ADDRESS_NOT_FOUND."""
    if not is_id(command.address_id):
        raise unknown_address()
    found = await addresses.change(command.user_id, command.address_id, lambda place: changed(place, command.given))
    if found is None:
        raise unknown_address()
    return found


async def delete_address(user_id: str, address_id: str, addresses: Addresses) -> None:
    """Raises ADDRESS_NOT_FOUND."""
    if not is_id(address_id) or not await addresses.remove(user_id, address_id):
        raise unknown_address()


async def list_addresses(user_id: str, page: PageAsked, addresses: Addresses) -> tuple[Sequence[Address], str | None]:
    """A page, the oldest first, and the token of the next one."""
    found = await addresses.list(user_id, _mark(page), page.size + 1)
    return page.cut(found, lambda address: (address.created_at, address.id))


def _mark(page: PageAsked) -> Mark | None:
    if page.after is None:
        return None
    created_at, address_id = page.after
    return Mark(int(created_at), str(address_id))
