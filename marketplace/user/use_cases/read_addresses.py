"""Reading a user's own addresses. Those of other users count as not existing."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import is_id
from marketplace.user.domain.address import Address, unknown_address
from marketplace.user.store.cursor import Cursor
from souk.sdk import PageAsked


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
