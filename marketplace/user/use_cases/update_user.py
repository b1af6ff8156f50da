"""Changing a user's own account, also by the link in a mail."""

from dataclasses import dataclass, replace

from marketplace.user.deps import Deps
from marketplace.user.domain.account import (
    EMAIL_TAKEN,
    Account,
    Profile,
    Proof,
    bad_unsubscribe_token,
    changed,
    unknown_user,
)
from marketplace.user.use_cases.check_password import check_current_password, count_taken_email, require_free_email
from souk.sdk import DomainError, InvalidArgument, Transaction, Violation


@dataclass(frozen=True, slots=True)
class UpdateUser:
    """Change a user's account to the profile. A new email requires the current password."""

    user_id: str
    profile: Profile
    password: str | None = None


async def update_user(deps: Deps, command: UpdateUser) -> Account:
    """Changes the account and returns it as it is now.

    Raises USER_NOT_FOUND, and with a new email EMAIL_TAKEN, BAD_CREDENTIALS, TOO_MANY_ATTEMPTS and InvalidArgument.
    """
    proof = None if command.profile.email is None else await _proof(deps, command)

    async def work(tx: Transaction) -> Account:
        if proof is not None:
            await deps.accounts.end_other_logins(tx, proof)
        old = await deps.accounts.lock(tx, command.user_id)
        if old is None:
            raise unknown_user()
        new = changed(old, command.profile)
        await deps.accounts.update(tx, new)
        return new

    try:
        return await deps.database.run(work, guarded=True)
    except DomainError as error:
        if error.reason == EMAIL_TAKEN:
            await count_taken_email(deps)
        raise


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Stop mails about the way of orders to the user of this token."""

    token: str


async def unsubscribe(deps: Deps, command: Unsubscribe) -> None:
    """Records the wish; an account that was erased meanwhile has none. Raises BAD_UNSUBSCRIBE_TOKEN."""
    user_id = deps.unsubscribe_tokens.user_id(command.token)
    if user_id is None:
        raise bad_unsubscribe_token()

    async def work(tx: Transaction) -> None:
        account = await deps.accounts.lock(tx, user_id)
        if account is not None:
            await deps.accounts.update(tx, replace(account, unsubscribed=True))

    await deps.database.run(work, guarded=True)


async def _proof(deps: Deps, command: UpdateUser) -> Proof:
    if command.password is None:
        raise InvalidArgument([Violation("current_password", "is required to change the email")])
    await require_free_email(deps)
    return await check_current_password(deps, command.user_id, command.password)
