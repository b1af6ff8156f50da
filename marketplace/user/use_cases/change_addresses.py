"""Creating, updating and deleting a user's own addresses. Those of other users count as not existing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from marketplace.user.deps import Deps
from marketplace.user.domain.account import is_id, unknown_user
from marketplace.user.domain.address import Address, PostalAddress, changed, checked, unknown_address
from souk.sdk import Transaction, new_id


@dataclass(frozen=True, slots=True)
class CreateAddress:
    """Save an address for a user."""

    user_id: str
    postal: PostalAddress


@dataclass(frozen=True, slots=True)
class UpdateAddress:
    """Change the given fields of a user's address."""

    user_id: str
    address_id: str
    given: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeleteAddress:
    """Delete one of a user's addresses."""

    user_id: str
    address_id: str


async def create_address(deps: Deps, command: CreateAddress) -> Address:
    """Saves an address and returns it; raises InvalidArgument, USER_NOT_FOUND and TOO_MANY_ADDRESSES."""
    new = Address(new_id("ADDR", deps.clock), command.user_id, checked(command.postal), deps.clock.now())
    if not await deps.database.run(lambda tx: deps.addresses.add(tx, new)):
        raise unknown_user()
    return new


async def update_address(deps: Deps, command: UpdateAddress) -> Address:
    """Changes an address and returns it as it is now; raises InvalidArgument and ADDRESS_NOT_FOUND."""
    if not is_id(command.address_id):
        raise unknown_address()

    async def work(tx: Transaction) -> Address:
        old = await deps.addresses.lock(tx, command.user_id, command.address_id)
        if old is None:
            raise unknown_address()
        new = replace(old, postal=changed(old.postal, command.given))
        await deps.addresses.update(tx, new)
        return new

    return await deps.database.run(work)


async def delete_address(deps: Deps, command: DeleteAddress) -> None:
    """Deletes an address; raises ADDRESS_NOT_FOUND."""
    if not is_id(command.address_id):
        raise unknown_address()
    if not await deps.database.run(lambda tx: deps.addresses.remove(tx, command.user_id, command.address_id)):
        raise unknown_address()
