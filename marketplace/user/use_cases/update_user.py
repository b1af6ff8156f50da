"""Reading, changing and erasing one's account."""

from dataclasses import dataclass

from marketplace.user.domain import EMAIL_TAKEN, Account, Proof, balance_left, changed, orders_open, unknown_user
from marketplace.user.ports import Accounts, Obligations
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


@dataclass(frozen=True, slots=True)
class DeleteMe:
    """Whose account, the password in force, and whether what the wallet holds is given up."""

    user_id: str
    password: str
    forfeit_balance: bool = False


async def delete_me(command: DeleteMe, accounts: Accounts, check: PasswordCheck, obligations: Obligations) -> None:
    """Erases the account with everything personal; for one that is gone there is nothing to do.

    Raises BAD_CREDENTIALS, TOO_MANY_ATTEMPTS, ORDERS_OPEN, BALANCE_LEFT, and as Obligations does.
    """
    if await accounts.find(command.user_id) is None:
        return
    proof = await check.require_current(command.user_id, command.password, accounts)
    if await obligations.has_open_orders():
        raise orders_open()
    if not command.forfeit_balance and await obligations.balance():
        raise balance_left()
    await accounts.erase(proof)
