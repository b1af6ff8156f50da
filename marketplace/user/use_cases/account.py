"""Reading, changing and erasing one's account."""

from dataclasses import dataclass

from marketplace.user.domain import Account, changed, unknown_user
from marketplace.user.ports import Accounts


@dataclass(frozen=True, slots=True)
class UpdateMe:
    """Whose account, and what to change; None stays."""

    user_id: str
    name: str | None
    email: str | None


async def get_user(user_id: str, accounts: Accounts) -> Account:
    """The account; raises USER_NOT_FOUND."""
    account = await accounts.find(user_id) if "\0" not in user_id else None
    if account is None:
        raise unknown_user()
    return account


async def update_me(command: UpdateMe, accounts: Accounts) -> Account:
    """The account as it is now; raises USER_NOT_FOUND and EMAIL_TAKEN."""
    account = await accounts.change(command.user_id, lambda old: changed(old, command.name, command.email))
    if account is None:
        raise unknown_user()
    return account


async def delete_me(user_id: str, accounts: Accounts) -> None:
    """Erases the account with everything personal; a repeat changes nothing."""
    await accounts.erase(user_id)
