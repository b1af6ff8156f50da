"""Changing one's password, which ends every session."""

from dataclasses import dataclass

from marketplace.user.domain import bad_credentials, unknown_user
from marketplace.user.ports import Accounts
from marketplace.user.use_cases.check_password import PasswordCheck

_WRONG = "the current password is wrong"


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Whose password, the one in force, and the one to come."""

    user_id: str
    current: str
    new: str


async def change_password(command: ChangePassword, accounts: Accounts, check: PasswordCheck) -> None:
    """Raises USER_NOT_FOUND, BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
    known = await accounts.credentials_of(command.user_id)
    if known is None:
        raise unknown_user()
    await check.require(known.account.email, known, command.current, _WRONG)
    new_hash = await check.passwords.hash(command.new)
    if not await accounts.change_password(command.user_id, known.password_hash, new_hash):
        # Somebody else changed it in between: the one that was checked is not in force any more.
        raise bad_credentials(_WRONG)
