"""Registering an account."""

from dataclasses import dataclass

from marketplace.user.domain import CUSTOMER, Account, email_taken
from marketplace.user.ports import Accounts, Passwords
from souk.kernel.clock import Clock
from souk.kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Who wants an account; without an id, one is made up."""

    email: str
    password: str
    name: str
    roles: tuple[str, ...] = (CUSTOMER,)
    id: str | None = None


async def register_user(command: RegisterUser, accounts: Accounts, passwords: Passwords, clock: Clock) -> Account:
    """The new account; raises EMAIL_TAKEN."""
    if await accounts.credentials(command.email):
        raise email_taken()
    account = Account(
        id=command.id or new_id("U", clock),
        email=command.email,
        name=command.name.strip(),
        roles=command.roles,
        created_at=clock.now(),
    )
    if not await accounts.add(account, await passwords.hash(command.password)):
        raise email_taken()
    return account
