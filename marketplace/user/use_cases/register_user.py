"""Registering an account."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import CUSTOMER, DEFAULT_LOCALE, Account, email_taken
from marketplace.user.use_cases.check_password import count_taken_email, require_free_email
from souk.sdk import new_id


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Register an account; without an `id`, a new one is made."""

    email: str
    password: str
    name: str
    roles: tuple[str, ...] = (CUSTOMER,)
    id: str | None = None
    locale: str = DEFAULT_LOCALE


async def register_user(deps: Deps, command: RegisterUser) -> Account:
    """Creates the account and returns it; raises EMAIL_TAKEN and TOO_MANY_ATTEMPTS.

    EMAIL_TAKEN comes only after the slow hash, and only so often for one client address: neither the answers
    nor the time that they take reveal who is registered.
    """
    await require_free_email(deps)
    account = Account(
        id=command.id or new_id("U", deps.clock),
        email=command.email,
        name=command.name.strip(),
        roles=command.roles,
        created_at=deps.clock.now(),
        locale=command.locale,
    )
    password_hash = await deps.passwords.hash(command.password)
    if not await deps.database.run(lambda tx: deps.accounts.add(tx, account, password_hash), guarded=True):
        await count_taken_email(deps)
        raise email_taken()
    return account
