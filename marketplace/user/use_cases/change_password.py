"""Changing one's password, which ends every session."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.use_cases.check_password import check_current_password


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Whose password, the one in force, and the one to come."""

    user_id: str
    current: str
    new: str


async def change_password(deps: Deps, command: ChangePassword) -> None:
    """Raises USER_NOT_FOUND, BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
    proof = await check_current_password(deps, command.user_id, command.current)
    await deps.accounts.change_password(proof, await deps.passwords.hash(command.new))
