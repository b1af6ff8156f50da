"""Creating, updating and deleting a user's own addresses. Another's are answered as if they did not exist."""

from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import is_id, unknown_user
from marketplace.user.domain.address import Address, PostalAddress, changed, checked, unknown_address
from souk.sdk import new_id


@dataclass(frozen=True, slots=True)
class CreateAddress:
    """Whose address, and what it is."""

    user_id: str
    postal: PostalAddress


@dataclass(frozen=True, slots=True)
class UpdateAddress:
    """Whose address, which, and the fields to change."""

    user_id: str
    address_id: str
    given: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeleteAddress:
    """Whose address, and which."""

    user_id: str
    address_id: str


async def create_address(deps: Deps, command: CreateAddress) -> Address:
    """The saved address; raises InvalidArgument, USER_NOT_FOUND and TOO_MANY_ADDRESSES."""
    new = Address(new_id("ADDR", deps.clock), command.user_id, checked(command.postal), deps.clock.now())
    if not await deps.addresses.add(new):
        raise unknown_user()
    return new


async def update_address(deps: Deps, command: UpdateAddress) -> Address:
    """The address as it is now; raises InvalidArgument and ADDRESS_NOT_FOUND."""
    if not is_id(command.address_id):
        raise unknown_address()
    found = await deps.addresses.change(
        command.user_id, command.address_id, lambda postal: changed(postal, command.given)
    )
    if found is None:
        raise unknown_address()
    return found


async def delete_address(deps: Deps, command: DeleteAddress) -> None:
    """Raises ADDRESS_NOT_FOUND."""
    if not is_id(command.address_id) or not await deps.addresses.remove(command.user_id, command.address_id):
        raise unknown_address()
