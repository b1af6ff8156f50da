"""Registering an account."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import CUSTOMER, Account, email_taken
from marketplace.user.use_cases.check_password import count_taken_email, require_free_email
from souk.sdk import new_id


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Who wants an account; without an id, one is made up."""

    email: str
    password: str
    name: str
    roles: tuple[str, ...] = (CUSTOMER,)
    id: str | None = None


async def register_user(deps: Deps, command: RegisterUser) -> Account:
    """The new account; raises EMAIL_TAKEN and TOO_MANY_ATTEMPTS.

    That an email is taken is said only after the slow hash, and not often: nobody reads from the answers,
    or from the time they take, who is registered here.
    """
    await require_free_email(deps)
    account = Account(
        id=command.id or new_id("U", deps.clock),
        email=command.email,
        name=command.name.strip(),
        roles=command.roles,
        created_at=deps.clock.now(),
    )
    if not await deps.accounts.add(account, await deps.passwords.hash(command.password)):
        await count_taken_email(deps)
        raise email_taken()
    return account
