"""Reading, changing and erasing one's account."""

from dataclasses import dataclass

from marketplace.user.domain import EMAIL_TAKEN, Account, Proof, changed, unknown_user
from marketplace.user.ports import Accounts
from marketplace.user.use_cases.check_password import PasswordCheck
from souk.kernel.errors import DomainError, InvalidArgument, Violation


@dataclass(frozen=True, slots=True)
class UpdateMe:
    """Whose account, and what to change; None stays. A new email takes the current password."""

    user_id: str
    name: str | None
    email: str | None
    password: str | None = None


async def get_user(user_id: str, accounts: Accounts) -> Account:
    """The account; raises USER_NOT_FOUND."""
    account = await accounts.find(user_id) if "\0" not in user_id else None
    if account is None:
        raise unknown_user()
    return account


async def update_me(command: UpdateMe, accounts: Accounts, check: PasswordCheck) -> Account:
    """The account as it is now.

    Raises USER_NOT_FOUND, and with an email EMAIL_TAKEN, BAD_CREDENTIALS, TOO_MANY_ATTEMPTS and InvalidArgument.
    """
    proof = None if command.email is None else await _proof(command, accounts, check)
    try:
        account = await accounts.change(command.user_id, lambda old: changed(old, command.name, command.email), proof)
    except DomainError as error:
        if error.reason == EMAIL_TAKEN:
            await check.email_was_taken()
        raise
    if account is None:
        raise unknown_user()
    return account


async def _proof(command: UpdateMe, accounts: Accounts, check: PasswordCheck) -> Proof:
    if command.password is None:
        raise InvalidArgument([Violation("current_password", "is required to change the email")])
    await check.require_free_email()
    return await check.require_current(command.user_id, command.password, accounts)


async def delete_me(user_id: str, password: str, accounts: Accounts, check: PasswordCheck) -> None:
    """Erases the account with everything personal; for one that is gone there is nothing to do.

    Raises BAD_CREDENTIALS and TOO_MANY_ATTEMPTS.
    """
    if await accounts.find(user_id) is None:
        return
    await accounts.erase(await check.require_current(user_id, password, accounts))
