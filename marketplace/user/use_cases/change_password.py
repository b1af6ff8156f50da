"""Changing one's password, which ends every session."""

from dataclasses import dataclass

from marketplace.user.ports import Accounts
from marketplace.user.use_cases.check_password import PasswordCheck


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Whose password, the one in force, and the one to come."""

    user_id: str
    current: str
    new: str


async def change_password(command: ChangePassword, accounts: Accounts, check: PasswordCheck) -> None:
    """Raises USER_NOT_FOUND, BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
    proof = await check.require_current(command.user_id, command.current, accounts)
    await accounts.change_password(proof, await check.passwords.hash(command.new))
