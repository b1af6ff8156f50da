"""Changing a user's password, which ends every login of the account."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.use_cases.check_password import check_current_password


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Replace a user's password; `current` proves that the caller knows the old one."""

    user_id: str
    current: str
    new: str


async def change_password(deps: Deps, command: ChangePassword) -> None:
    """Changes the password; raises USER_NOT_FOUND, BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
    proof = await check_current_password(deps, command.user_id, command.current)
    new_hash = await deps.passwords.hash(command.new)
    await deps.database.run(lambda tx: deps.accounts.change_password(tx, proof, new_hash))
