"""Erasing a user's own account."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import balance_left, orders_open
from marketplace.user.use_cases.check_password import check_current_password


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Erase a user's account; with `forfeit_balance`, even if the wallet holds money."""

    user_id: str
    password: str
    forfeit_balance: bool = False


async def delete_user(deps: Deps, command: DeleteUser) -> None:
    """Erases the account with all personal data; does nothing for an account that is gone.

    Raises BAD_CREDENTIALS, TOO_MANY_ATTEMPTS, ORDERS_OPEN, BALANCE_LEFT, and what Obligations raises.
    """
    if await deps.database.read(lambda tx: deps.accounts.find(tx, command.user_id), single=True) is None:
        return
    proof = await check_current_password(deps, command.user_id, command.password)
    if await deps.obligations.has_open_orders():
        raise orders_open()
    if not command.forfeit_balance and await deps.obligations.balance():
        raise balance_left()
    await deps.database.run(lambda tx: deps.accounts.erase(tx, proof))
