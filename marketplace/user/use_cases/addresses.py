"""The addresses of a user. Those of other users count as not existing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marketplace.user.deps import Deps
from marketplace.user.domain.account import is_id, unknown_user
from marketplace.user.domain.address import Address, PostalAddress, changed, checked, unknown_address
from marketplace.user.store.cursor import Cursor
from souk.sdk import PageAsked, Transaction, new_id


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


@dataclass(frozen=True, slots=True)
class GetAddress:
    """Read one of a user's addresses."""

    user_id: str
    address_id: str


@dataclass(frozen=True, slots=True)
class ListAddresses:
    """Read a page of a user's addresses."""

    user_id: str
    page: PageAsked


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


async def get_address(deps: Deps, query: GetAddress) -> Address:
    """Returns one of the user's addresses; raises ADDRESS_NOT_FOUND."""
    if not is_id(query.address_id):
        raise unknown_address()
    found = await deps.database.read(lambda tx: deps.addresses.find(tx, query.user_id, query.address_id), single=True)
    if found is None:
        raise unknown_address()
    return found


async def list_addresses(deps: Deps, query: ListAddresses) -> tuple[Sequence[Address], str | None]:
    """Returns a page of addresses, the oldest first, and the token of the next page."""
    after, limit = Cursor.of(query.page), query.page.size + 1
    found = await deps.database.read(lambda tx: deps.addresses.list(tx, query.user_id, after, limit))
    return query.page.cut(found, lambda address: (address.created_at, address.id))
