"""A user's own addresses. Another's are answered as if they did not exist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketplace.user.address import Address, Place, changed, checked, unknown_address
from marketplace.user.domain import is_id, unknown_user
from marketplace.user.ports import Addresses, Mark
from souk.kernel.clock import Clock
from souk.kernel.ids import new_id
from souk.kernel.paging import decode_token, encode_token, query_digest, require_same_query


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


@dataclass(frozen=True, slots=True)
class ListAddresses:
    """Whose addresses, how many, and from which token on."""

    user_id: str
    page_size: int
    page_token: str | None = None


async def create_address(command: CreateAddress, addresses: Addresses, clock: Clock) -> Address:
    """The saved address; raises InvalidArgument and USER_NOT_FOUND."""
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


async def list_addresses(command: ListAddresses, addresses: Addresses) -> tuple[Sequence[Address], str | None]:
    """A page, the oldest first, and the token of the next one; raises InvalidArgument for a wrong token."""
    digest = query_digest("addresses", command.user_id)
    after = _mark(command.page_token, digest)
    found = await addresses.list(command.user_id, after, command.page_size + 1)
    shown = found[: command.page_size]
    if len(found) <= command.page_size:
        return shown, None
    return shown, encode_token(digest, shown[-1].created_at, shown[-1].id)


def _mark(token: str | None, digest: str) -> Mark | None:
    if not token:
        return None
    bound_to, created_at, address_id = decode_token(token, (str, int, str))
    require_same_query(bound_to, digest)
    return Mark(int(created_at), str(address_id))
