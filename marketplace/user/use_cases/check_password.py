"""Checking a password so that nobody can guess one, nor learn whether an account exists.

Every password that is typed is checked here, throttled by account, known or not, and by address.
"""

from marketplace.user.deps import Deps
from marketplace.user.domain.account import (
    Credentials,
    Proof,
    bad_credentials,
    email_key,
    too_many_attempts,
    unknown_user,
)
from marketplace.user.domain.throttle import Attempt
from souk.sdk import current

WRONG = "email or password is wrong"
WRONG_CURRENT = "the current password is wrong"


async def check_password(
    deps: Deps, email: str, credentials: Credentials | None, password: str, refusal: str = WRONG
) -> Credentials:
    """The credentials, proved; raises BAD_CREDENTIALS, with `refusal`, and TOO_MANY_ATTEMPTS.

    The limit is asked about again after the slow check: however many guesses run at once, no
    more than the limit are ever answered.
    """
    user_id = credentials.account.id if credentials else ""
    attempt = deps.counted.password(user_id, email_key(email), current().caller.address)
    await _require_free(deps, attempt)
    fits = await deps.passwords.verify(credentials.password_hash if credentials else None, password)
    if not fits or credentials is None:
        wait = await deps.attempts.fail(attempt)
        raise bad_credentials(refusal) if wait is None else too_many_attempts(wait)
    await _require_free(deps, attempt)
    return credentials


async def check_current_password(deps: Deps, user_id: str, password: str) -> Proof:
    """Proof that the caller knows the password in force; raises USER_NOT_FOUND besides.

    What it is for compares it with the account once more, in its own transaction.
    """
    known = await deps.accounts.credentials_of(user_id)
    if known is None:
        raise unknown_user()
    proved = await check_password(deps, known.account.email, known, password, WRONG_CURRENT)
    return Proof(user_id, proved.password_hash, current().caller.session)


async def require_free_email(deps: Deps) -> None:
    """Raises TOO_MANY_ATTEMPTS for an address that has asked for too many emails that are taken."""
    await _require_free(deps, deps.counted.email(current().caller.address))


async def count_taken_email(deps: Deps) -> None:
    """Counts an email that was asked for and is taken; raises as `require_free_email`."""
    wait = await deps.attempts.fail(deps.counted.email(current().caller.address))
    if wait is not None:
        raise too_many_attempts(wait)


async def _require_free(deps: Deps, attempt: Attempt) -> None:
    wait = await deps.attempts.wait(attempt)
    if wait is not None:
        raise too_many_attempts(wait)
