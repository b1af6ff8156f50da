"""Registering an account."""

from dataclasses import dataclass

from marketplace.user.domain import CUSTOMER, Account, email_taken
from marketplace.user.ports import Accounts
from marketplace.user.use_cases.check_password import PasswordCheck
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


async def register_user(command: RegisterUser, accounts: Accounts, check: PasswordCheck, clock: Clock) -> Account:
    """The new account; raises EMAIL_TAKEN and TOO_MANY_ATTEMPTS.

    That an email is taken is said only after the slow hash, and not often: nobody reads from the answers,
    or from the time they take, who is registered here.
    """
    await check.require_free_email()
    account = Account(
        id=command.id or new_id("U", clock),
        email=command.email,
        name=command.name.strip(),
        roles=command.roles,
        created_at=clock.now(),
    )
    if not await accounts.add(account, await check.passwords.hash(command.password)):
        await check.email_was_taken()
        raise email_taken()
    return account
