"""Reading a user's account."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Account, unknown_user


@dataclass(frozen=True, slots=True)
class GetUser:
    """Read the account of a user."""

    user_id: str


async def get_user(deps: Deps, query: GetUser) -> Account:
    """Returns the account; raises USER_NOT_FOUND."""
    if "\0" in query.user_id:
        raise unknown_user()
    account = await deps.database.read(lambda tx: deps.accounts.find(tx, query.user_id), single=True)
    if account is None:
        raise unknown_user()
    return account
